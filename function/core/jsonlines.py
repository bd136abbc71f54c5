"""Lines of JSON in, lines of answers out. Pure but for the classifier that is asked: no HTTP, no threads."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from function.core import request as asking
from function.core.answers import shown_alone
from function.core.options import Unusable, named
from function.core.problems import Problem, problem_of
from function.core.request import Asked, Malformed
from function.core.service import Service
from vaccel_rpc.errors import ResourceExhausted, RpcError, Unavailable

_log = logging.getLogger("function")

#: Media types of a body that is lines of JSON; answers have the first.
MEDIA_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
#: Lines that are classified together.
PART = 32
_RETRY_S = 0.1
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode

#: A line's number and its bytes; None for one that is too long.
Line = tuple[int, bytes | None]


class Splitter:
    """Bytes as they arrive -> lines that are not blank, of at most ``most`` bytes; a longer one is skipped and given as None.

    Holds one line that is not whole, and what was fed last.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._data, self._at = b"", 0
        self._partial = bytearray()
        self._too_long = self._over = False
        self._number = 0

    @property
    def waiting(self) -> int:
        """Bytes that are held."""
        return len(self._data) - self._at + len(self._partial)

    def feed(self, data: bytes) -> None:
        """More bytes, once `take` has given all lines that there were."""
        self._data, self._at = data, 0

    def end(self) -> None:
        """No more come: what is left is a line, too."""
        self._over = True

    def take(self, most: int) -> list[Line]:
        """The next lines, at most so many; none where more bytes are needed first."""
        lines: list[Line] = []
        while len(lines) < most and (end := self._data.find(b"\n", self._at)) >= 0:
            self._keep(end)
            self._at = end + 1
            lines += self._line()
        if len(lines) < most and self._at < len(self._data):
            self._keep(len(self._data))
            self._at = len(self._data)
        if self._over and len(lines) < most and (self._partial or self._too_long):
            lines += self._line()
        return lines

    def _keep(self, end: int) -> None:
        if self._too_long or len(self._partial) + end - self._at > self._most:
            self._too_long = True
            self._partial.clear()
        else:
            self._partial += self._data[self._at : end]

    def _line(self) -> Iterator[Line]:
        self._number += 1
        line = None if self._too_long else bytes(self._partial)
        self._partial.clear()
        self._too_long = False
        if line is None or line.removeprefix(_BYTE_ORDER_MARK).strip():
            yield self._number, line


class Answers:
    """Answers the lines of one stream. ``lines``, ``errors``: how many have been answered, and how many of them with an error."""

    def __init__(self, service: Service, options: Mapping[str, Any], metadata: Mapping[str, str], *, summary: bool) -> None:
        self._service, self._options, self._metadata, self._summary = service, options, metadata, summary
        self.lines = self.errors = 0

    def of(self, lines: list[Line]) -> tuple[bytes, int]:
        """A line of JSON for each, and how many are errors. Anything unforeseen in one line is that line's error."""
        read = [self._read(number, line) for number, line in lines]
        answers: list[dict[str, Any]] = [{} for _ in read]
        groups: dict[Any, list[int]] = {}
        for i, (_, asked) in enumerate(read):
            if isinstance(asked, Asked):
                groups.setdefault(asked.options, []).append(i)
            else:
                answers[i] = {"error": asked.body()}
        for options, places in groups.items():
            texts = [text for i in places for text in _texts(read[i][1])]
            for i, one in zip(places, self._classified(Asked(texts, many=False, options=options)), strict=True):
                answers[i] = one
        written = [_written(head, answer) for (head, _), answer in zip(read, answers, strict=True)]
        return b"".join(line for line, _ in written), sum(failed for _, failed in written)

    def count(self, lines: int, errors: int) -> None:
        """So many have been sent."""
        self.lines += lines
        self.errors += errors

    def last(self, failure: str | None) -> bytes:
        """What follows the last answer: an error where the lines did not end as they should, else the summary if it is asked for."""
        if failure:
            return line_of({"error": Problem(HTTPStatus.BAD_REQUEST, f"the lines ended early: {failure}").body()})
        return line_of({"lines": self.lines, "errors": self.errors}) if self._summary else b""

    def _classified(self, asked: Asked) -> list[dict[str, Any]]:
        try:
            return self._patiently(asked)
        except Exception as error:  # noqa: BLE001 the other lines go on
            if len(asked.texts) > 1:
                return [one for text in asked.texts for one in self._classified(Asked([text], many=False, options=asked.options))]
            _log.error("a line failed", exc_info=error)
            return [{"error": Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the function failed; its log says more").body()}]

    def _patiently(self, asked: Asked) -> list[dict[str, Any]]:
        end = time.monotonic() + self._service.timeout
        while True:
            try:
                items = self._service.classifier.classify(asked.texts, self._service.timeout, asked.options, self._metadata).items
                return [shown_alone(named(item) if isinstance(item, Unusable) else item, asked.options) for item in items]
            except (ResourceExhausted, Unavailable) as error:
                # A long stream waits for a busy agent; a short request would be told to come again.
                pause = max(_RETRY_S, error.retry_after or 0.0)
                lasting = isinstance(error, ResourceExhausted) and error.memory
                if lasting or time.monotonic() + pause > end:
                    return [{"error": _body(error)}] * len(asked.texts)
                time.sleep(pause)
            except RpcError as error:
                return [{"error": _body(error)}] * len(asked.texts)

    def _read(self, number: int, line: bytes | None) -> tuple[dict[str, Any], Asked | Problem]:
        head: dict[str, Any] = {"line": number}
        try:
            if line is None:
                most = self._service.limits.body
                raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the line is too long; at most {most} bytes (MAX_BODY)")
            data = asking.parse_json(line, "the line")
            if isinstance(data, dict) and "id" in data:
                head["id"] = data["id"]
            return head, asking.of_line(data, self._service.limits, self._options)
        except (Problem, Malformed, Unusable) as error:
            return head, problem_of(error) or Problem(HTTPStatus.BAD_REQUEST, str(error))
        except Exception as error:  # noqa: BLE001 the other lines go on
            _log.error("line %d failed", number, exc_info=error)
            return {"line": number}, Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the function failed; its log says more")


def _texts(asked: Asked | Problem) -> list[str | Unusable]:
    return asked.texts if isinstance(asked, Asked) else []


def _body(error: RpcError) -> dict[str, Any]:
    problem = problem_of(error)
    return problem.body() if problem else {}


def _written(head: dict[str, Any], answer: dict[str, Any]) -> tuple[bytes, bool]:
    """The line, and whether it is an error."""
    try:
        return line_of({**head, **answer}), "error" in answer
    except (ValueError, RecursionError):
        problem = Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the id cannot be sent back: it is too deeply nested, or no JSON")
        return line_of({"line": head["line"], "error": problem.body()}), True


def line_of(answer: dict[str, Any]) -> bytes:
    """An answer as a line."""
    return _encode(answer).encode("utf-8", "backslashreplace") + b"\n"
