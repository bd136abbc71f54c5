"""``POST /classify`` and ``POST /``: JSON, a plain text, a form; lines of JSON go to ``ndjson``, events to ``events``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus

from function.core import request as asking
from function.core.answers import answer
from function.core.jsonlines import MEDIA_TYPES
from function.core.options import read_options, typed
from function.core.problems import Problem
from function.core.request import Asked
from function.core.service import Service
from function.web import events, ndjson
from function.web.body import metadata_of, query_options, read_body, text_of
from function.web.http import JSON, Request, Response, Route, in_json

TEXT, FORM = "text/plain", "application/x-www-form-urlencoded"


def routes(service: Service) -> Iterator[Route]:
    """Its routes."""

    def classify(given: Request) -> Response:
        if given.kind in MEDIA_TYPES:
            return ndjson.stream(given, service)
        asked = given.asked = read_asked(given, service)
        done = given.done = service.classify(asked, metadata_of(given))
        return in_json(answer(done.items, asked.options, service.model, many=asked.many))

    def root(given: Request) -> Response:
        return events.answer(given, service) if events.is_event(given) else classify(given)

    yield "/classify", classify, "POST"
    yield "/", root, "POST"


def read_asked(given: Request, service: Service) -> Asked:
    """What the request asks for. Raises `Problem`, `Malformed`, `Unusable`."""
    read = _READ.get(given.kind)
    if read is None:
        raise _unsupported(given, _peek(given, service))
    return read(given, service)


def _json(given: Request, service: Service) -> Asked:
    data = asking.parse_json(read_body(given, service.limits.body))
    return asking.of_object(data, service.limits, query_options(given))


def _text(given: Request, service: Service) -> Asked:
    text = text_of(read_body(given, service.limits.body), given.charset)
    return asking.of_texts([text], service.limits, read_options(query_options(given)), many=False)


def _form(given: Request, service: Service) -> Asked:
    from urllib.parse import parse_qs

    body = read_body(given, service.limits.body)
    if _like_json(body):
        raise _unsupported(given, body)
    text = asking.decoded(body)
    try:
        fields = parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=service.limits.texts + 16)
    except ValueError as error:
        raise asking.Malformed(f"the form cannot be read: {error}") from None
    last = {name: values[-1] for name, values in fields.items()}
    data = {name: last["text"] if name == "text" else fields["texts"] for name in ("text", "texts") if name in fields}
    return asking.of_object({**last, **typed(last), **data}, service.limits, query_options(given))


_READ: dict[str, Callable[[Request, Service], Asked]] = {JSON: _json, TEXT: _text, FORM: _form}


def _peek(given: Request, service: Service) -> bytes:
    """The body of a request that is refused anyway; none where it cannot be read."""
    try:
        return read_body(given, service.limits.body)
    except (Problem, asking.Malformed):
        return b""


def _like_json(body: bytes) -> bool:
    """Whether a body begins as JSON of ours does; no form does, for it would be percent-encoded."""
    return body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


def _unsupported(given: Request, body: bytes) -> Problem:
    """415; where the body looks like JSON, it is that type that is needed: curl's -d says that it sends a form."""
    sent = f"not {given.kind}" if given.kind else "and none was given"
    if _like_json(body):
        detail = f"the body looks like JSON: it needs the header Content-Type: {JSON}, {sent}"
    else:
        detail = f"the content type must be one of {', '.join([*_READ, *MEDIA_TYPES[:1]])}; {sent}"
    return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
