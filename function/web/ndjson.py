"""``POST /classify`` with lines of JSON: each line is answered as its result comes, in order, and memory
does not grow.

A server that can send while it reads takes the lines (`environ.LINES`) and passes them through
`jsonlines`. Under any other server the body is complete, and its lines are answered part by part.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from function.core.jsonlines import MEDIA_TYPES, PART, Answers, Splitter
from function.core.problems import Problem
from function.core.service import ClassifyService
from function.environ import LINES
from function.web.body import metadata_of, query_options, refuse_charset, summary_of
from function.web.http import Request, Response


def stream(request: Request, service: ClassifyService) -> Response:
    """Answers a request with lines. Raises `Problem`, `Unusable`."""
    if request.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "lines of JSON are accepted without a content encoding only")
    refuse_charset(request.charset)
    answers = Answers(service, query_options(request), metadata_of(request), summary=summary_of(request))
    if not service.streams.acquire():
        detail = f"{service.streams.limit} streams of lines are open: the limit (MAX_STREAMS) is reached"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "1"})
    take = request.environ.get(LINES)
    if take:
        take(answers)
        # An idle stream holds no thread, so it does not count against the concurrency limit.
        service.requests.release()
        request.admitted = False
        lines: Iterator[bytes] = iter(())
    else:
        # The body is in memory already; the limit is that of a line.
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
