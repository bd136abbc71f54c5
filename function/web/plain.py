"""``POST /classify`` and ``POST /``: JSON, a plain text, a form; lines of JSON go to ``ndjson``, events to ``events``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus

from function.core import request as core_request
from function.core.answers import answer
from function.core.jsonlines import MEDIA_TYPES
from function.core.options import OPTIONS, read_options, refuse_repeated, typed
from function.core.problems import Problem
from function.core.request import ClassifyRequest
from function.core.service import ClassifyService
from function.web import events, ndjson
from function.web.body import json_in, metadata_of, query_options, read_body, refuse_charset, text_of
from function.web.http import JSON, Request, Response, Route, in_json

#: Fields that a form may have besides its texts.
_OTHER_FIELDS = 16
TEXT, FORM = "text/plain", "application/x-www-form-urlencoded"


def routes(service: ClassifyService) -> Iterator[Route]:
    """The routes of `/classify` and of `/`."""

    def classify(request: Request) -> Response:
        if request.kind in MEDIA_TYPES:
            return ndjson.stream(request, service)
        wanted = request.classify_request = read_classify_request(request, service)
        classification = request.classification = service.classify(wanted, metadata_of(request))
        return in_json(answer(classification.items, wanted.options, service.model, many=wanted.many))

    def root(request: Request) -> Response:
        return events.answer(request, service) if events.is_event(request) else classify(request)

    yield "/classify", classify, "POST"
    yield "/", root, "POST"


def read_classify_request(request: Request, service: ClassifyService) -> ClassifyRequest:
    """Reads the request's body by its content type. Raises `Problem`, `Malformed`, `Unusable`."""
    read = _READ.get(request.kind)
    if read is None:
        raise _unsupported(request, _peek(request, service))
    return read(request, service)


def _json(request: Request, service: ClassifyService) -> ClassifyRequest:
    data = json_in(read_body(request, service.limits.body), request.charset)
    return core_request.of_object(data, service.limits, query_options(request))


def _text(request: Request, service: ClassifyService) -> ClassifyRequest:
    text = text_of(read_body(request, service.limits.body), request.charset)
    return core_request.of_texts([text], service.limits, read_options(query_options(request)), many=False)


def _form(request: Request, service: ClassifyService) -> ClassifyRequest:
    from urllib.parse import parse_qs

    body = read_body(request, service.limits.body)
    if _like_json(body):
        raise _unsupported(request, body)
    refuse_charset(request.charset)
    text, most = core_request.decoded(body), service.limits.texts + _OTHER_FIELDS
    try:
        fields = parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=most)
    except UnicodeDecodeError:
        raise core_request.Malformed("the form is not percent-encoded UTF-8") from None
    except ValueError:
        raise core_request.Malformed(f"the form has too many fields; at most {most}") from None
    refuse_repeated((name, len(fields.get(name, ()))) for name in ("text", "text_pair", *OPTIONS))
    single = {name: values[0] for name, values in fields.items()}
    several = {name: fields[name] for name in ("texts",) if name in fields}
    return core_request.of_object({**single, **typed(single), **several}, service.limits, query_options(request))


_READ: dict[str, Callable[[Request, ClassifyService], ClassifyRequest]] = {JSON: _json, TEXT: _text, FORM: _form}


def _peek(request: Request, service: ClassifyService) -> bytes:
    """The body of a request that is refused anyway; empty where it cannot be read."""
    try:
        return read_body(request, service.limits.body)
    except (Problem, core_request.Malformed):
        return b""


def _like_json(body: bytes) -> bool:
    """Whether a body begins as a JSON request does. No form does: it would be percent-encoded."""
    return body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


def _unsupported(request: Request, body: bytes) -> Problem:
    """415. A body that looks like JSON gets a hint: curl's -d declares a form."""
    sent = f"not {request.kind}" if request.kind else "and none was given"
    if _like_json(body):
        detail = f"the body looks like JSON: it needs the header Content-Type: {JSON}, {sent}"
    else:
        detail = f"the content type must be one of {', '.join([*_READ, *MEDIA_TYPES[:1]])}; {sent}"
    return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
