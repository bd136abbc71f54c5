"""Lines of JSON in, lines of answers out, by the one service. No HTTP, no threads."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from function.core.answers import shown_alone
from function.core.options import Options, Unusable, named
from function.core.problems import Problem, problem_of, unforeseen
from function.core.request import ClassifyRequest, Malformed, joined, of_line, parse_json
from function.core.service import ClassifyService
from function.core.texts import Pair
from vaccel_rpc.errors import DeadlineExceeded, ResourceExhausted, RpcError, Unavailable

_log = logging.getLogger("function")

#: Media types of a body that is lines of JSON; answers have the first.
MEDIA_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
#: Lines that are classified together.
PART = 32
#: Lines of a divided group that get no answer, one after the other, before the longer ones are given up.
_UNANSWERED = 2
#: Errors of a group that each of its lines may be spared alone.
_OF_GROUP = (DeadlineExceeded, ResourceExhausted)
_RETRY_S = 0.1
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode

#: A line's number and its bytes; None for one that is too long.
Line = tuple[int, bytes | None]


class Splitter:
    """Bytes as they arrive -> lines that are not blank, of at most ``limit`` bytes; a longer line is skipped and returned as None.

    It holds one incomplete line, and what was fed last.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data, self._at = b"", 0
        self._partial = bytearray()
        self._too_long = self._over = False
        self._number = 0

    @property
    def waiting(self) -> int:
        """How many bytes are held."""
        return len(self._data) - self._at + len(self._partial)

    def feed(self, data: bytes) -> None:
        """Adds bytes, once `take` has returned all lines so far."""
        self._data, self._at = data, 0

    def end(self) -> None:
        """No more bytes will come; what is left is a line, too."""
        self._over = True

    def take(self, limit: int) -> list[Line]:
        """The next lines, at most ``limit``; none where more bytes are needed first."""
        lines: list[Line] = []
        while len(lines) < limit and (end := self._data.find(b"\n", self._at)) >= 0:
            self._keep(end)
            self._at = end + 1
            lines += self._line()
        if len(lines) < limit and self._at < len(self._data):
            self._keep(len(self._data))
            self._at = len(self._data)
        if self._over and len(lines) < limit and (self._partial or self._too_long):
            lines += self._line()
        return lines

    def _keep(self, end: int) -> None:
        if self._too_long or len(self._partial) + end - self._at > self._limit:
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
    """Answers the lines of one stream. ``lines``, ``errors``: how many lines have been answered, and how many of these with an error."""

    def __init__(
        self, service: ClassifyService, options: Mapping[str, Any], metadata: Mapping[str, str], *, summary: bool
    ) -> None:
        self._service, self._options, self._metadata, self._summary = service, options, metadata, summary
        self.lines = self.errors = 0
        self._abandoned = False

    def abandon(self) -> None:
        """Nobody waits for answers any more: a group that is being classified line by line ends after the current line."""
        self._abandoned = True

    def of(self, lines: list[Line]) -> tuple[bytes, int]:
        """A line of JSON for each, and how many are errors. Anything unforeseen in one line is that line's error."""
        read = [self._read(number, line) for number, line in lines]
        answers: list[dict[str, Any]] = [{} for _ in read]
        groups: dict[Options, list[tuple[int, ClassifyRequest]]] = {}
        for i, (_, request) in enumerate(read):
            if isinstance(request, ClassifyRequest):
                groups.setdefault(request.options, []).append((i, request))
            else:
                answers[i] = {"error": request.body()}
        for group in groups.values():
            for (i, _), answer in zip(group, self._classified([request for _, request in group]), strict=True):
                answers[i] = answer
        encoded = [_encoded(head, answer) for (head, _), answer in zip(read, answers, strict=True)]
        return b"".join(line for line, _ in encoded), sum(failed for _, failed in encoded)

    def count(self, lines: int, errors: int) -> None:
        """Adds lines whose answers have been sent."""
        self.lines += lines
        self.errors += errors

    def last(self, failure: str | None) -> bytes:
        """What follows the last answer: an error where the lines did not end properly, else the summary if it is wanted."""
        if failure:
            return line_of({"error": Problem(HTTPStatus.BAD_REQUEST, f"the lines ended early: {failure}").body()})
        return line_of({"lines": self.lines, "errors": self.errors}) if self._summary else b""

    def _classified(self, requests: list[ClassifyRequest]) -> list[dict[str, Any]]:
        """An answer for each line of a group.

        The group shares a deadline and a place in the agent's queue. Where it fails for one of these, or for something
        unforeseen, each line is tried alone, for what succeeds alone is to succeed in a stream.
        """
        result = self._attempt(requests)
        if isinstance(result, list):
            return result
        if len(requests) == 1 or (isinstance(result, RpcError) and not isinstance(result, _OF_GROUP)):
            return [_error(result)] * len(requests)
        return self._one_by_one(requests, result)

    def _one_by_one(self, requests: list[ClassifyRequest], error: Exception) -> list[dict[str, Any]]:
        """An answer for each line; the shortest is tried first.

        A frozen agent does not cost a deadline for each line: where short ones get no answer, longer ones would get none.
        """
        answers: dict[int, dict[str, Any]] = {}
        unanswered = 0
        for i in sorted(range(len(requests)), key=lambda i: _length(requests[i])):
            if unanswered == _UNANSWERED or self._abandoned:
                break
            result = self._attempt([requests[i]])
            if isinstance(result, list):
                (answers[i],) = result
                unanswered = 0
            else:
                error = result
                answers[i] = _error(error)
                unanswered += isinstance(error, RpcError)
        return [answers.get(i) or _error(error) for i in range(len(requests))]

    def _attempt(self, requests: list[ClassifyRequest]) -> list[dict[str, Any]] | Exception:
        """An answer for each line, or the error of them all."""
        try:
            return self._with_retries(joined(requests))
        except Exception as error:  # noqa: BLE001 the other lines go on
            return error

    def _with_retries(self, request: ClassifyRequest) -> list[dict[str, Any]]:
        end = time.monotonic() + self._service.timeout
        while True:
            try:
                items = self._service.classify(request, self._metadata).items
                return [shown_alone(named(item) if isinstance(item, Unusable) else item, request.options) for item in items]
            except (ResourceExhausted, Unavailable) as error:
                # A long stream waits for a busy agent, where a short request is told to try again.
                pause = max(_RETRY_S, error.retry_after or 0.0)
                lasting = isinstance(error, ResourceExhausted) and error.memory
                if lasting or time.monotonic() + pause > end:
                    raise
                time.sleep(pause)

    def _read(self, number: int, line: bytes | None) -> tuple[dict[str, Any], ClassifyRequest | Problem]:
        head: dict[str, Any] = {"line": number}
        limits = self._service.limits
        try:
            if line is None:
                detail = f"the line is too long; at most {limits.body} bytes (MAX_BODY)"
                raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
            data = parse_json(line, "the line")
            if isinstance(data, dict) and "id" in data:
                head["id"] = data["id"]
            return head, of_line(data, limits, self._options)
        except (Problem, Malformed, Unusable) as error:
            return head, problem_of(error) or Problem(HTTPStatus.BAD_REQUEST, str(error))
        except Exception as error:  # noqa: BLE001 the other lines go on
            _log.error("line %d failed", number, exc_info=error)
            return {"line": number}, unforeseen()


def _length(request: ClassifyRequest) -> int:
    """Characters of a line's text, or of both of its texts."""
    return sum(len(part) for text in request.texts for part in (text if isinstance(text, Pair) else [str(text)]))


def _error(error: Exception) -> dict[str, Any]:
    """The answer to a line that has no prediction; an unforeseen error is logged."""
    problem = problem_of(error)
    if problem is None:
        _log.error("a line failed", exc_info=error)
        problem = unforeseen()
    return {"error": problem.body()}


def _encoded(head: dict[str, Any], answer: dict[str, Any]) -> tuple[bytes, bool]:
    """The line, and whether it is an error."""
    try:
        return line_of({**head, **answer}), "error" in answer
    except (ValueError, RecursionError):
        problem = Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "the id cannot be sent back: it is too deeply nested, or not valid JSON"
        )
        return line_of({"line": head["line"], "error": problem.body()}), True


def line_of(answer: dict[str, Any]) -> bytes:
    """An answer as a line of JSON, with its line feed."""
    return _encode(answer).encode("utf-8", "backslashreplace") + b"\n"
