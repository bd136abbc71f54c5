"""Clients with known right answers, which judge every byte that comes back."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadkit.answers import prediction_fault
from loadkit.http1 import post
from loadkit.texts import LABELS
from loadkit.threads import ClientThreads

#: Seconds between an answer and the same client's next request; those beyond the function's limit
#: after which an answer is late, for a busy machine; and after which it counts as lost.
PAUSE_S, LATE_S, _LOST_S = 0.03, 1.0, 5.0
#: How far a score may be from the known one: a batch of the real model changes the last digits.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ChaosRequest:
    """What became of a request.

    ``began``: when it was sent (monotonic seconds). ``status``: 0 where no answer came. ``wrong``:
    what is wrong with the answer, in words that are counted; empty where nothing is.
    """

    began: float
    seconds: float
    status: int
    wrong: str = ""


@dataclass(frozen=True)
class HttpAnswer:
    """An answer. ``behind``: bytes behind its body, which nobody asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    behind: bytes


class Exchanges:
    """One connection to the function, on which requests and answers take turns.

    Every method raises ``OSError`` where the connection fails.
    """

    def __init__(self, at: tuple[str, int], timeout: float) -> None:
        self._socket = socket.create_connection(at, timeout)

    def ask(self, text: str, name: str) -> HttpAnswer:
        """The answer to a text, whose request has this id."""
        if select.select([self._socket], [], [], 0)[0]:
            behind = self._socket.recv(65536)
            raise ConnectionError("bytes came that nobody asked for" if behind else "the connection was closed while idle")
        self._socket.sendall(post("/classify", json.dumps({"text": text}).encode(), **{"X-Request-Id": name}))
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        length = int(headers["content-length"])
        while len(body) < length:
            body += self._more()
        return HttpAnswer(int(first.split()[1]), headers, body[:length], body[length:])

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()

    def _more(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the connection was closed within an answer")
        return data


class ChaosClients(ClientThreads):
    """Sends the texts from so many threads as long as its context lasts; ``done``: what became of each.

    ``at``: the function's host and port; ``limit``: its REQUEST_TIMEOUT_S; ``pause``: seconds between
    an answer and the same client's next request. `learn` comes first.
    """

    def __init__(self, at: tuple[str, int], clients: int, texts: Sequence[str], limit: float, pause: float = PAUSE_S) -> None:
        self._at, self._texts, self._limit, self._pause = at, texts, limit, pause
        self._known: dict[str, dict[str, float]] = {}
        self.done: list[ChaosRequest] = []
        super().__init__(clients, self._run)

    def learn(self) -> None:
        """Asks for each text once, without faults: the right answers. Raises ``RuntimeError`` for one that is none."""
        exchanges = Exchanges(self._at, self._limit + _LOST_S)
        for text in self._texts:
            answer = exchanges.ask(text, "learning")
            prediction = json.loads(answer.body)
            fault = prediction_fault(prediction, LABELS) if answer.status == 200 else answer.body.decode()
            if fault is not None:
                raise RuntimeError(f"there is no right answer to compare with: {fault}")
            self._known[text] = prediction["scores"]
        exchanges.close()

    def _run(self, client: int, end: threading.Event) -> None:
        exchanges: Exchanges | None = None
        number = 0
        while not end.wait(self._pause):
            number += 1
            text, name = self._texts[(client * 31 + number) % len(self._texts)], f"chaos-{client}-{number}"
            began = time.monotonic()
            try:
                exchanges = exchanges or Exchanges(self._at, self._limit + _LOST_S)
                answer = exchanges.ask(text, name)
            except (OSError, ValueError, LookupError) as error:
                if exchanges:
                    exchanges.close()
                    exchanges = None
                self.done.append(ChaosRequest(began, time.monotonic() - began, 0, f"lost: {error}"))
                continue
            seconds = time.monotonic() - began
            self.done.append(ChaosRequest(began, seconds, answer.status, self._judged(text, name, answer, seconds)))

    def _judged(self, text: str, name: str, answer: HttpAnswer, seconds: float) -> str:
        if answer.behind:
            return "answered twice"
        if answer.headers.get("x-request-id") != name:
            return "the answer to another request"
        if seconds > self._limit + LATE_S:
            return "later than the deadline"
        if answer.status == 200 and not self._is_right(text, json.loads(answer.body)):
            return "wrong answer"
        return ""

    def _is_right(self, text: str, prediction: Any) -> bool:
        known = self._known[text]
        if prediction_fault(prediction, LABELS) is not None:
            return False
        return all(abs(prediction["scores"][label] - score) <= _TOLERANCE for label, score in known.items())
