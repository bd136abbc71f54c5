"""``POST /classify`` with one short text in plain JSON, answered in the event loop: no thread, no WSGI.

Most requests are such. Every other one, and each that is answered with an error, takes the way of
`app`, which this module answers like.
"""

from __future__ import annotations

import time
from typing import Any

from function.core.answers import answer
from function.core.classifier import Classification
from function.core.options import Unusable
from function.core.problems import Problem, problem_of
from function.core.reading import Malformed
from function.core.request import ClassifyRequest, of_object, parse_json
from function.core.service import ClassifyService
from function.environ import DirectResponse
from function.telemetry.access import Access, Entry, request_id
from function.web.http import JSON, encoded, raw_headers
from function.web.middleware import timing
from vaccel_common import tracing
from vaccel_rpc.awaiting import AwaitedRuns
from vaccel_rpc.errors import RpcError

_PATH = "/classify"
_KINDS = (JSON.encode(), b"application/json; charset=utf-8")
#: Bytes of a body, whose text keeps the event loop for no longer than a thread's hand-over takes.
_MAX_BODY = 4 << 10
#: Headers with which a request is not plain. Nor is one in which another header that is read is repeated.
_OTHERS = frozenset((b"origin", b"content-encoding", b"traceparent"))


class DirectAnswers:
    """Answers the requests of one service that can be answered in the event loop."""

    def __init__(self, service: ClassifyService, access: Access, runs: AwaitedRuns) -> None:
        self._service, self._access, self._runs = service, access, runs

    async def __call__(self, scope: Any, body: bytes) -> DirectResponse | Problem | None:
        """The response; the problem to answer with; or None for a request that is not plain."""
        began = time.perf_counter()
        sent_id = _id_of_plain(scope, body)
        service = self._service
        if sent_id is None or service.log_texts or tracing.on():
            return None
        try:
            request = of_object(parse_json(body), service.limits, {})
        except (Malformed, Unusable):
            return None
        if request.many or request.options.truncation == "window" or not service.requests.acquire():
            return None
        try:
            done = await self._classified(request)
        except (Unusable, RpcError) as error:
            return problem_of(error)
        finally:
            service.requests.release()
        return self._response(request, done, request_id(sent_id.decode("latin-1")), began)

    async def _classified(self, request: ClassifyRequest) -> Classification:
        classifier = self._service.classifier
        prepared = classifier.prepare(request.texts, request.options)
        results = [await self._runs.run(run, classifier.outputs, self._service.timeout) for run in prepared.runs]
        done = classifier.finish(prepared, results)
        request.refuse_bad(done.items)
        return done

    def _response(self, request: ClassifyRequest, done: Classification, name: str, began: float) -> DirectResponse:
        service = self._service
        body = encoded(answer(done.items, request.options, service.model, many=False)).encode()
        headers = raw_headers(JSON, body, name, timing(time.perf_counter() - began, done))

        def close() -> None:
            self._access.record(Entry("POST", _PATH, _PATH, 200, name, time.perf_counter() - began, done=done))

        return 200, headers, body, close


def _id_of_plain(scope: Any, body: bytes) -> bytes | None:
    """The id that a plain request's client sent, or an empty one; None for a request that is not plain."""
    if scope["path"] != _PATH or scope["method"] != "POST" or scope["query_string"] or len(body) > _MAX_BODY:
        return None
    sent = {b"content-type": b"", b"x-request-id": b""}
    for name, value in scope["headers"]:
        if name in _OTHERS or sent.get(name):
            return None
        if name in sent:
            sent[name] = value
    return sent[b"x-request-id"] if sent[b"content-type"].lower() in _KINDS else None
