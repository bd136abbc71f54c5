"""CloudEvents 1.0 on ``POST /``, binary and structured: an event with texts in, an event with predictions out."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote

from function import asked as asking
from function.answers import answer as answer_of
from function.asked import Asked, Malformed
from function.options import Unusable, read_options
from function.problems import Problem
from function.service import Service
from function.web.body import metadata_of, query_options, read_body, trace_of
from function.web.http import Request, Response
from vaccel_rpc import tracing

TYPE = "dev.vaccel.classification"
_STRUCTURED, _BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
_REQUIRED = ("id", "source", "type")
#: Attributes of the request's event that its answer carries on.
_KEPT = ("subject", "traceparent", "tracestate")
#: Printable ASCII but for space, quote and percent stays as it is in a header (CloudEvents HTTP binding, 3.1.3.2).
_SAFE = "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


def is_event(given: Request) -> bool:
    """Whether a request holds a CloudEvent, in whatever form."""
    return given.kind in (_STRUCTURED, _BATCH) or any(f"ce-{name}" in given.headers for name in ("specversion", *_REQUIRED))


def answer(given: Request, service: Service) -> Response:
    """The answering event, in the form the request has. Raises `Problem`: 400 for what will never succeed."""
    if given.kind == _BATCH:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"one event at a time is taken: {_STRUCTURED}, or ce- headers")
    structured = given.kind == _STRUCTURED
    body = read_body(given, service.limits.body)
    try:
        attributes, data = _structured(body) if structured else _binary(given, body)
        asked = given.asked = _asked(attributes, data, given, service)
        done = given.done = service.classify(asked, metadata_of(given) if trace_of(given) or tracing.on() else _trace(attributes))
    except (Unusable, Malformed) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
    out = answer_of(done.items, asked.options, service.model, many=asked.many)
    return _response(attributes, out, service, structured=structured)


def _binary(given: Request, body: bytes) -> tuple[dict[str, Any], Any]:
    attributes = {name[3:].lower(): unquote(value) for name, value in given.headers if name.lower().startswith("ce-")}
    if given.kind:
        attributes["datacontenttype"] = given.kind
    return _checked(attributes), body


def _structured(body: bytes) -> tuple[dict[str, Any], Any]:
    event = asking.parse_json(body)
    if not isinstance(event, dict):
        raise Malformed("a structured CloudEvent is a JSON object")
    data = event.pop("data", None)
    encoded = event.pop("data_base64", None)
    attributes = _checked({name: value for name, value in event.items() if value is not None})
    if encoded is not None and data is not None:
        raise Malformed("a CloudEvent has data or data_base64, not both")
    if encoded is not None:
        data = _from_base64(encoded)
    return attributes, data


def _checked(attributes: dict[str, Any]) -> dict[str, Any]:
    """The event's attributes, as the library reads them."""
    if attributes.get("specversion") != "1.0":
        raise Malformed(f"specversion must be 1.0, not {attributes.get('specversion', 'missing')}")
    missing = [name for name in _REQUIRED if not isinstance(attributes.get(name), str) or not attributes[name]]
    if missing:
        raise Malformed(f"the CloudEvent's {', '.join(missing)} must be there, as text that is not empty")
    for name in ("id", "subject", "datacontenttype"):
        if not isinstance(value := attributes.get(name, ""), str) or not _encodable(value):
            raise Malformed(f"the CloudEvent's {name} must be text")
    return attributes


def _asked(attributes: dict[str, Any], data: Any, given: Request, service: Service) -> Asked:
    options, kind = (
        query_options(given),
        attributes.get("datacontenttype", "application/json").split(";")[0].strip().lower(),
    )
    if isinstance(data, bytes) and kind == "text/plain":
        data = asking.decoded(data)
    elif isinstance(data, bytes):
        data = asking.parse_json(data) if data.strip() else None
    if data is None:
        raise Unusable('the CloudEvent has no data; {"text": "..."} or {"texts": ["...", ...]} is needed')
    if isinstance(data, str) and kind == "text/plain":
        return asking.of_texts([data], service.limits, read_options(options), many=False)
    if kind != "application/json" and not kind.endswith("+json"):
        raise Unusable(f"datacontenttype must be application/json or text/plain, not {kind}")
    return asking.of_object(data, service.limits, options)


def _from_base64(encoded: Any) -> bytes:
    import base64

    try:
        return base64.b64decode(encoded, validate=True)
    except (ValueError, TypeError) as error:
        raise Malformed(f"data_base64 cannot be read: {error}") from None


def _trace(attributes: dict[str, Any]) -> dict[str, str]:
    return {name: value for name in ("traceparent", "tracestate") if isinstance(value := attributes.get(name), str)}


def _response(attributes: dict[str, Any], out: dict[str, Any], service: Service, *, structured: bool) -> Response:
    event, to_binary, to_structured = _library()
    kept = {name: value for name in _KEPT if isinstance(value := attributes.get(name), str) and value}
    made = {"type": TYPE, "source": service.source, "causationid": attributes["id"], "datacontenttype": "application/json"}
    if not structured:
        kept, made["causationid"] = (
            {name: quote(value, safe=_SAFE) for name, value in kept.items()},
            quote(attributes["id"], safe=_SAFE),
        )
    headers, body = (to_structured if structured else to_binary)(event({**kept, **made}, out))
    return Response(body if isinstance(body, bytes) else json.dumps(body), HTTPStatus.OK, headers)


def _library() -> Any:
    # Loaded with the first event: it has no part in a cold start. Version 2 keeps version 1's API under another name.
    from importlib import import_module
    from importlib.util import find_spec

    base = "cloudevents.v1" if find_spec("cloudevents.v1") else "cloudevents"
    conversion = import_module(f"{base}.conversion")
    return import_module(f"{base}.http").CloudEvent, conversion.to_binary, conversion.to_structured


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
