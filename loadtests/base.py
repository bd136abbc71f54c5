"""What all users have in common: texts, a judge, and how an answer becomes a success or a failure of Locust's."""

from __future__ import annotations

import contextlib
import http.client
import random
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from locust import FastHttpUser, User

from loadtests import options, texts
from loadtests.answers import AnswerChecker, WrongAnswer, problem

JSON = {"Content-Type": "application/json"}
#: Seconds after which a request without an answer has failed.
TIMEOUT_S = 60.0


class TextUser(User):
    """A user with texts to send."""

    abstract = True

    @property
    def judge(self) -> AnswerChecker:
        """What the process's users know of right answers."""
        return options.judge(self.options.labels)

    @property
    def options(self) -> Any:
        """The options of this run; a worker has those of its master."""
        return self.environment.parsed_options

    def some(self, count: int) -> list[str]:
        """Texts by chance."""
        return random.choices(texts.texts(self.options.texts), k=count)  # noqa: S311 no secret

    @contextlib.contextmanager
    def timed(self, kind: str, name: str) -> Iterator[None]:
        """Counts what is done inside as one request; an exception makes it a failure, and ends there."""
        began = time.perf_counter()
        failure: Exception | None = None
        try:
            yield
        except Exception as error:  # noqa: BLE001 what went wrong is counted by its words
            failure = error
        self.count(kind, name, time.perf_counter() - began, failure)

    def count(self, kind: str, name: str, seconds: float, failure: Exception | None = None, length: int = 0) -> None:
        """Counts one request that is not made by Locust's own client."""
        self.environment.events.request.fire(
            request_type=kind, name=name, response_time=1000 * seconds, response_length=length, exception=failure, context={}
        )


class HttpTextUser(TextUser, FastHttpUser):
    """A user who sends texts over HTTP by Locust's fast client."""

    abstract = True
    connection_timeout = network_timeout = TIMEOUT_S

    def ask(
        self, name: str, path: str, body: bytes, headers: dict[str, str], check: Callable[[Any], None], status: int = 200
    ) -> None:
        """Posts; a success is that status with an answer in which ``check`` finds nothing wrong."""
        with self.client.post(path, data=body, headers=headers, name=name, catch_response=True) as answer:
            if not answer.status_code:
                answer.failure(f"no answer: {type(answer.error).__name__}")
            elif answer.status_code != status:
                answer.failure(problem(answer.status_code, answer.content or b""))
            else:
                try:
                    check(answer)
                except WrongAnswer as error:
                    answer.failure(str(error))
                else:
                    answer.success()


def dial(host: str) -> http.client.HTTPConnection:
    """A connection to the host of a URL, for what Locust's client does not do. Raises ``OSError``."""
    url = urlsplit(host)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.netloc, timeout=TIMEOUT_S)
    connection.connect()
    return connection
