"""``POST /classify`` and ``POST /``: JSON, a plain text, a form; lines of JSON go to ``ndjson``, events to ``events``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus

from function import asked as asking
from function.answers import answer
from function.asked import Asked
from function.options import read_options, typed
from function.problems import Problem
from function.service import Service
from function.web import events, ndjson
from function.web.body import metadata_of, query_options, read_body
from function.web.http import JSON, Request, Response, Route, in_json

TEXT, FORM = "text/plain", "application/x-www-form-urlencoded"


def routes(service: Service) -> Iterator[Route]:
    """Its routes."""

    def classify(given: Request) -> Response:
        if given.kind in ndjson.TYPES:
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
        named = f"not {given.kind}" if given.kind else "and none was given"
        wanted = ", ".join([*_READ, *ndjson.TYPES[:1]])
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the content type must be one of {wanted}; {named}")
    return read(given, service)


def _json(given: Request, service: Service) -> Asked:
    data = asking.parse_json(read_body(given, service.limits.body))
    return asking.of_object(data, service.limits, query_options(given))


def _text(given: Request, service: Service) -> Asked:
    text = _decoded(read_body(given, service.limits.body), given.charset)
    return asking.of_texts([text], service.limits, read_options(query_options(given)), many=False)


def _form(given: Request, service: Service) -> Asked:
    from urllib.parse import parse_qs

    body = asking.decoded(read_body(given, service.limits.body))
    try:
        fields = parse_qs(body, keep_blank_values=True, errors="strict", max_num_fields=service.limits.texts + 16)
    except ValueError as error:
        raise asking.Malformed(f"the form cannot be read: {error}") from None
    last = {name: values[-1] for name, values in fields.items()}
    data = {name: last["text"] if name == "text" else fields["texts"] for name in ("text", "texts") if name in fields}
    return asking.of_object({**typed(last), **data}, service.limits, query_options(given))


_READ: dict[str, Callable[[Request, Service], Asked]] = {JSON: _json, TEXT: _text, FORM: _form}


def _decoded(body: bytes, charset: str) -> str:
    try:
        return asking.decoded(body, charset)
    except (LookupError, ValueError) as error:
        if isinstance(error, asking.Malformed):
            raise
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"unknown charset {charset[:40]!r}; send UTF-8") from None
