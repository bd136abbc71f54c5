"""``POST /classify`` with lines of JSON: each is answered as its result comes, in order, in memory that does not grow.

A server that can send while it reads takes the lines (`environ.LINES`) and lets them pass through
`jsonlines`; under any other, the body is here and its lines are answered one part after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from function.core.jsonlines import MEDIA_TYPES, PART, Answers, Splitter
from function.core.problems import Problem
from function.core.service import ClassifyService
from function.environ import LINES
from function.web.body import metadata_of, query_options, summary_of
from function.web.http import Request, Response


def stream(request: Request, service: ClassifyService) -> Response:
    """The answer to such a request. Raises `Problem`, `Unusable`."""
    if request.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "lines of JSON are taken without a content encoding")
    answers = Answers(service, query_options(request), metadata_of(request), summary=summary_of(request))
    if not service.streams.acquire():
        detail = f"{service.streams.limit} streams of lines are open, the limit (MAX_STREAMS)"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "1"})
    take = request.environ.get(LINES)
    if take:
        take(answers)
        # It holds no thread while it is idle, and so no place of those that do.
        service.requests.release()
        request.admitted = False
        lines: Iterator[bytes] = iter(())
    else:
        # In memory already: the limit is a line's.
        lines = _answered(request.environ["wsgi.input"].read(), service, answers)
    response = Response(lines, mimetype=MEDIA_TYPES[0])
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(service.streams.release)
    return response


def _answered(body: bytes, service: ClassifyService, answers: Answers) -> Iterator[bytes]:
    splitter = Splitter(service.limits.body)
    splitter.feed(body)
    splitter.end()
    while lines := splitter.take(PART):
        answered, errors = answers.of(lines)
        answers.count(len(lines), errors)
        yield answered
    yield answers.last(None)
