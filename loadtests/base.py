"""What all users share: texts, a checker of answers, and how a response becomes a success or a
failure in Locust.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from locust import FastHttpUser, User

from function.core.texts import Text
from loadtests import options, texts
from loadtests.answers import AnswerChecker, WrongAnswer, problem

JSON = {"Content-Type": "application/json"}
#: Seconds after which a request without a response has failed.
TIMEOUT_S = 60.0


class TextUser(User):
    """A user with texts to send."""

    abstract = True

    @property
    def checker(self) -> AnswerChecker:
        """The checker that all users of the process share."""
        return options.checker(self.options.labels)

    @property
    def options(self) -> Any:
        """The options of this run; a worker has its master's."""
        return self.environment.parsed_options

    def sample(self, count: int) -> list[Text]:
        """Texts or pairs at random."""
        return random.choices(texts.chosen(self.options), k=count)  # noqa: S311 not a secret

    @contextlib.contextmanager
    def timed(self, kind: str, name: str) -> Iterator[None]:
        """Counts the block as one request; an exception in it is counted as a failure and not
        raised.
        """
        began = time.perf_counter()
        failure: Exception | None = None
        try:
            yield
        except Exception as error:  # noqa: BLE001 Locust counts failures by their messages
            failure = error
        self.count(kind, name, time.perf_counter() - began, failure)

    def count(self, kind: str, name: str, seconds: float, failure: Exception | None = None, length: int = 0) -> None:
        """Counts one request that was not sent by Locust's own client."""
        self.environment.events.request.fire(
            request_type=kind, name=name, response_time=1000 * seconds, response_length=length, exception=failure, context={}
        )


class HttpTextUser(TextUser, FastHttpUser):
    """A user who sends texts over HTTP, by Locust's fast client."""

    abstract = True
    connection_timeout = network_timeout = TIMEOUT_S

    def post(
        self, name: str, path: str, body: bytes, headers: dict[str, str], check: Callable[[Any], None], status: int = 200
    ) -> None:
        """Sends a POST; it succeeds with ``status`` and a response for which ``check`` does not
        raise `WrongAnswer`.
        """
        with self.client.post(path, data=body, headers=headers, name=name, catch_response=True) as response:
            if not response.status_code:
                response.failure(f"no response: {type(response.error).__name__}")
            elif response.status_code != status:
                response.failure(problem(response.status_code, response.content or b""))
            else:
                try:
                    check(response)
                except WrongAnswer as error:
                    response.failure(str(error))
                else:
                    response.success()


def dial(host: str) -> http.client.HTTPConnection:
    """A connection to the host of a URL, for requests that Locust's client cannot send.

    Raises ``OSError``.
    """
    url = urlsplit(host)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.netloc, timeout=TIMEOUT_S)
    connection.connect()
    return connection
