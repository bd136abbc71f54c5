"""``POST /classify`` with lines of JSON: each is answered as its result comes, in order, in memory that does not grow."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from function import asked as asking
from function.answers import shown_alone
from function.asked import Asked, Malformed
from function.options import Unusable, named
from function.problems import Problem, problem_of
from function.service import Service
from function.stream import Arriving, in_order
from function.web.body import metadata_of, query_options
from function.web.http import Request, Response
from vaccel_rpc.errors import ResourceExhausted, RpcError, Unavailable

TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")

#: Lines classified together, parts in flight, and lines read ahead.
_PART, _JOBS, _AHEAD = 32, 2, 256
_RETRY_S = 0.1

Line = tuple[int, bytes | None]


def stream(given: Request, service: Service) -> Response:
    """The answer to such a request; nothing of it is read yet. Raises `Problem`."""
    if given.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "lines of JSON are taken without a content encoding")
    options = query_options(given)
    if not service.streams.enter():
        detail = f"{service.streams.most} streams of lines are open, the limit (a quarter of THREADS)"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "1"})
    # Not the framework's stream, which reads a line byte by byte.
    arriving = Arriving(_lines(given.environ["wsgi.input"], service.limits.body), _AHEAD)
    worker = _Worker(service, options, metadata_of(given))
    response = Response(_answers(arriving, worker), mimetype=TYPES[0])
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(arriving.close)
    response.call_on_close(service.streams.leave)
    return response


def _answers(arriving: Arriving[Line], worker: _Worker) -> Iterator[bytes]:
    try:
        yield from in_order(arriving, worker.answers, size=_PART, jobs=_JOBS)
    except (TimeoutError, OSError, Malformed) as error:
        # The status has been sent long ago: what is wrong can only be said in a last line.
        problem = Problem(HTTPStatus.BAD_REQUEST, f"the lines ended early: {error}")
        yield _line({"error": problem.body()})


def _lines(source: Any, most: int) -> Iterator[Line]:
    """Each line that is not blank with its number; None for one of more than ``most`` bytes, which is skipped."""
    number = 0
    while line := source.readline(most + 1):
        number += 1
        if len(line) > most and not line.endswith(b"\n"):
            while len(line) > most and not line.endswith(b"\n"):
                line = source.readline(most + 1)
            yield number, None
        elif line.strip():
            yield number, line


class _Worker:
    """Answers parts of one stream."""

    def __init__(self, service: Service, options: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
        self._service, self._options, self._metadata = service, options, metadata

    def answers(self, lines: list[Line]) -> bytes:
        """A line of JSON for each."""
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
        return b"".join(_line({**head, **answer}) for (head, _), answer in zip(read, answers, strict=True))

    def _classified(self, asked: Asked) -> list[dict[str, Any]]:
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


def _texts(asked: Asked | Problem) -> list[str | Unusable]:
    return asked.texts if isinstance(asked, Asked) else []


def _body(error: RpcError) -> dict[str, Any]:
    problem = problem_of(error)
    return problem.body() if problem else {}


def _line(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
