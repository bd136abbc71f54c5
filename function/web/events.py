"""CloudEvents 1.0 on ``POST /``, binary and structured: an event with texts in, an event with predictions out."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from werkzeug.http import parse_options_header

from function.core import request as core_request
from function.core.answers import answer as answer_of
from function.core.classifier import OutputNotFinite
from function.core.options import Unusable, read_options
from function.core.problems import Problem, from_rpc
from function.core.request import ClassifyRequest, Malformed
from function.core.service import ClassifyService
from function.web.body import json_in, metadata_of, query_options, read_body, text_of
from function.web.http import Request, Response
from vaccel_common import log, tracing
from vaccel_rpc.errors import InvalidArgument

TYPE = "dev.vaccel.classification"
_STRUCTURED, _BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
_encode = json.JSONEncoder(allow_nan=False).encode
_REQUIRED = ("id", "source", "type")
#: Attributes of the request's event that its answer carries on.
_KEPT = ("subject", "traceparent", "tracestate")
#: Printable ASCII but for space, quote and percent stays as it is in a header (CloudEvents HTTP binding 1.0.2, 3.1.3.2).
_SAFE = "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


def is_event(request: Request) -> bool:
    """Whether the request is a CloudEvent in binary, structured or batched mode."""
    return request.kind in (_STRUCTURED, _BATCH) or any(f"ce-{name}" in request.headers for name in ("specversion", *_REQUIRED))


def answer(request: Request, service: ClassifyService) -> Response:
    """Answers with an event in the mode of the request. Raises `Problem`: a 4xx for what can never succeed, which no broker repeats."""
    if request.kind == _BATCH:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"one event at a time is accepted: {_STRUCTURED}, or ce- headers")
    structured = request.kind == _STRUCTURED
    body = read_body(request, service.limits.body)
    try:
        attributes, data = _structured(body, request.charset) if structured else _binary(request, body)
        wanted = request.classify_request = _classify_request(attributes, data, request, service)
        metadata = metadata_of(request) if request.trace or tracing.on() else _trace(attributes)
        log.context.set(tracing.ids(request.span, metadata))
        classification = request.classification = service.classify(wanted, metadata)
    except (Unusable, Malformed) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
    except (OutputNotFinite, InvalidArgument) as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, from_rpc(error).detail) from None
    out = answer_of(classification.items, wanted.options, service.model, many=wanted.many)
    return _response(attributes, out, service, structured=structured)


def _binary(request: Request, body: bytes) -> tuple[dict[str, Any], Any]:
    headers = ((name.lower(), value) for name, value in request.headers)
    attributes = {name[3:]: _unquoted(name, value) for name, value in headers if name.startswith("ce-")}
    if request.kind:
        attributes["datacontenttype"] = request.headers["Content-Type"]
    return _checked(attributes), body


def _unquoted(name: str, value: str) -> str:
    """An attribute's value in a header, read as CloudEvents HTTP binding 1.0.2, 3.1.3.2, says: unquoted, then percent-decoded."""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    try:
        # A WSGI string holds one byte in each character.
        return unquote_to_bytes(value.encode("latin-1")).decode()
    except UnicodeError:
        raise Malformed(f"the header {name} is not percent-encoded UTF-8") from None


def _quoted(value: str) -> str:
    return quote(value, safe=_SAFE)


def _structured(body: bytes, charset: str) -> tuple[dict[str, Any], Any]:
    event = json_in(body, charset, "the event")
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
    """Checks the event's attributes and returns them. Raises `Malformed`."""
    if attributes.get("specversion") != "1.0":
        raise Malformed(f"specversion must be 1.0, not {str(attributes.get('specversion', 'missing'))[:40]}")
    missing = [name for name in _REQUIRED if not isinstance(attributes.get(name), str) or not attributes[name]]
    if missing:
        raise Malformed(f"the CloudEvent's {', '.join(missing)} must be present, as a string that is not empty")
    for name in ("id", "subject", "datacontenttype"):
        if not isinstance(value := attributes.get(name, ""), str) or not _encodable(value):
            raise Malformed(f"the CloudEvent's {name} must be a string")
    return attributes


def _classify_request(attributes: dict[str, Any], data: Any, request: Request, service: ClassifyService) -> ClassifyRequest:
    options = query_options(request)
    kind, parameters = parse_options_header(attributes.get("datacontenttype", "application/json"))
    kind = kind.lower()
    if kind not in ("text/plain", "application/json") and not kind.endswith("+json"):
        raise Unusable(f"datacontenttype must be application/json or text/plain, not {kind[:80]}")
    if isinstance(data, bytes):
        data = _read(data, kind, parameters.get("charset", "utf-8"))
    if data is None:
        raise Unusable('the CloudEvent has no data; {"text": "..."} or {"texts": ["...", ...]} is needed')
    if kind == "text/plain":
        if not isinstance(data, str):
            raise Unusable("the CloudEvent's data must be a string where its datacontenttype is text/plain")
        return core_request.of_texts([data], service.limits, read_options(options), many=False)
    return core_request.of_object(data, service.limits, options)


def _read(data: bytes, kind: str, charset: str) -> Any:
    """Data that came as bytes: the text, or the JSON in it; None where it is empty."""
    if kind == "text/plain":
        return text_of(data, charset)
    return json_in(data, charset, "the event's data") if data.strip() else None


def _from_base64(encoded: Any) -> bytes:
    import base64

    try:
        return base64.b64decode(encoded, validate=True)
    except (ValueError, TypeError):
        raise Malformed("data_base64 must be a string of base64") from None


def _trace(attributes: dict[str, Any]) -> dict[str, str]:
    parent, state = (value if isinstance(value := attributes.get(name), str) else None for name in ("traceparent", "tracestate"))
    return tracing.context(parent, state)


def _response(attributes: dict[str, Any], out: dict[str, Any], service: ClassifyService, *, structured: bool) -> Response:
    event, to_binary, to_structured = _library()
    kept = {name: value for name in _KEPT if isinstance(value := attributes.get(name), str) and value}
    response_attributes = {**kept, "type": TYPE, "source": service.source, "causationid": attributes["id"]}
    if not structured:
        response_attributes = {name: _quoted(value) for name, value in response_attributes.items()}
    headers, body = (to_structured if structured else to_binary)(
        event({**response_attributes, "datacontenttype": "application/json"}, out)
    )
    return Response(body if isinstance(body, bytes) else _encode(body), HTTPStatus.OK, headers)


def _library() -> Any:
    # Imported at the first event: it has no part in a cold start. Version 2 of the library keeps
    # version 1's API under another name.
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
