"""Streams of JSON lines: lines are sent while the answers to earlier ones are read."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from contextlib import suppress

import gevent
from locust import between, tag, task

from function.core.texts import Text
from loadkit.http1 import LAST_CHUNK, chunk
from loadtests.answers import WrongAnswer, problem
from loadtests.base import TextUser, dial
from loadtests.texts import fields

#: Lines of a stream, and seconds between two of them.
_LINES, _PAUSE_S = 40, 0.05
_NAME = "stream of lines"


class NdjsonStream(TextUser):
    """A program that sends a line whenever it has one.

    Each line is timed from its sending to its answer.
    """

    weight = 1
    wait_time = between(1, 3)

    @tag("http", "lines")
    @task
    def lines(self) -> None:
        """A stream of 40 lines in one chunked request."""
        with self.timed("POST", _NAME):
            connection = dial(self.host or "")
            try:
                self._stream(connection, self.sample(_LINES))
            finally:
                connection.close()

    def _stream(self, connection: http.client.HTTPConnection, texts: Sequence[Text]) -> None:
        connection.putrequest("POST", "/classify")
        connection.putheader("Content-Type", "application/x-ndjson")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        sent: list[float] = []
        sender = gevent.spawn(_send, connection, texts, sent)
        # Not the connection's own response, which closes the socket at "Connection: close" while
        # lines are still being sent.
        answers = http.client.HTTPResponse(connection.sock, method="POST")
        try:
            answers.begin()
            self._read(answers, texts, sent)
        finally:
            sender.kill()

    def _read(self, answers: http.client.HTTPResponse, texts: Sequence[Text], sent: Sequence[float]) -> None:
        if answers.status != http.HTTPStatus.OK:
            raise WrongAnswer(problem(answers.status, answers.read()))
        count = 0
        while line := answers.readline():
            if count == len(sent):
                raise WrongAnswer("there are more answers than lines")
            self.count(
                "LINE", "line of a stream", time.perf_counter() - sent[count], self._failure(count, texts, line), len(line)
            )
            count += 1
        if count != len(texts):
            raise WrongAnswer("a stream ended before all of its lines were answered")

    def _failure(self, at: int, texts: Sequence[Text], line: bytes) -> WrongAnswer | None:
        try:
            self.checker.line(at + 1, texts[at], line)
        except WrongAnswer as error:
            return error
        return None


def _send(connection: http.client.HTTPConnection, texts: Sequence[Text], sent: list[float]) -> None:
    """Sends all lines, one chunk each, and notes when.

    Returns where the server has closed: the reader reports what it got.
    """
    with suppress(OSError):
        for number, text in enumerate(texts, 1):
            line = json.dumps({"id": number, **fields(text)}).encode() + b"\n"
            sent.append(time.perf_counter())
            connection.sock.sendall(chunk(line))
            gevent.sleep(_PAUSE_S)
        connection.sock.sendall(LAST_CHUNK)
