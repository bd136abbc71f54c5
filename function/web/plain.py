"""``POST /classify`` and ``POST /``: JSON, a plain text, a form; lines of JSON go to ``ndjson``, events to ``events``."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from flask import Flask, Request, Response, g, jsonify, request

from function import asked as asking
from function.answers import answer
from function.asked import Asked
from function.options import read_options, typed
from function.problems import Problem
from function.service import Service
from function.web import events, ndjson
from function.web.body import metadata_of, query_options, read_body

JSON, TEXT, FORM = "application/json", "text/plain", "application/x-www-form-urlencoded"


def add(app: Flask, service: Service) -> None:
    """Adds the routes."""

    def classify() -> Response:
        if request.mimetype in ndjson.TYPES:
            return ndjson.stream(request, service)
        asked = read_asked(request, service)
        g.asked = asked
        g.done = service.classify(asked, metadata_of(request))
        return jsonify(answer(g.done.items, asked.options, service.model, many=asked.many))

    def root() -> Response:
        return events.answer(request, service) if events.is_event(request) else classify()

    app.add_url_rule("/classify", "classify", classify, methods=["POST"])
    app.add_url_rule("/", "root", root, methods=["POST"])


def read_asked(given: Request, service: Service) -> Asked:
    """What the request asks for. Raises `Problem`, `Malformed`, `Unusable`."""
    read = _READ.get(given.mimetype)
    if read is None:
        named = f"not {given.mimetype}" if given.mimetype else "and none was given"
        wanted = ", ".join([*_READ, *ndjson.TYPES[:1]])
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the content type must be one of {wanted}; {named}")
    return read(given, service)


def _json(given: Request, service: Service) -> Asked:
    data = asking.parse_json(read_body(given, service.limits.body))
    return asking.of_object(data, service.limits, query_options(given))


def _text(given: Request, service: Service) -> Asked:
    text = _decoded(read_body(given, service.limits.body), given.mimetype_params.get("charset", "utf-8"))
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
