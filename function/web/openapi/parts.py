"""Parts that paths and schemas share: references, headers, error responses."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

Json = dict[str, Any]

PROBLEM = "application/problem+json"
#: Why each error is sent; those after the first line are anyone's, the others are of requests that classify.
WHY = {
    HTTPStatus.BAD_REQUEST: "The request is malformed: not valid HTTP, JSON or a CloudEvent, or not the bytes that were promised.",
    HTTPStatus.NOT_FOUND: "There is no such route, model or version.",
    HTTPStatus.METHOD_NOT_ALLOWED: "Allow names the methods.",
    HTTPStatus.REQUEST_TIMEOUT: "The request did not arrive in time (READ_TIMEOUT_S).",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body, as sent or inflated, is too large (MAX_BODY).",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The content type, its charset or the content encoding is none of those taken.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Well-formed, but no text that can be classified, too many, or a wrong or misspelt option.",
    HTTPStatus.TOO_MANY_REQUESTS: "The agents are busy; Retry-After says when to try again.",
    HTTPStatus.BAD_GATEWAY: "The agent gave no result: it does not have the model, or the model failed or gave numbers that are not finite.",
    HTTPStatus.SERVICE_UNAVAILABLE: "No agent can be reached, or the concurrency limit (THREADS) is reached; Retry-After says when to try again.",
    HTTPStatus.GATEWAY_TIMEOUT: "An agent took the run and did not answer in time (REQUEST_TIMEOUT_S).",
}
_RETRY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def headers() -> Json:
    """The headers that responses share."""
    return {
        "RequestId": {"description": "The X-Request-Id that was sent, or a new one.", "schema": {"type": "string"}},
        "Timing": {"description": "Milliseconds: tokenize, rpc, queue, forward, total.", "schema": {"type": "string"}},
        "RetryAfter": {"description": "Seconds.", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    }


_SENT: Json = {
    "X-Request-Id": {"$ref": "#/components/headers/RequestId"},
    "Server-Timing": {"$ref": "#/components/headers/Timing"},
}


def responses() -> Json:
    """Error responses by status: ``422`` with a problem (RFC 9457), ``Inference422`` as the inference protocol has it."""
    by_name: Json = {}
    for status, why in WHY.items():
        headers = {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}} if status in _RETRY else {}
        for name, kind, schema in (("", PROBLEM, "Problem"), ("Inference", "application/json", "InferenceError")):
            content = {kind: {"schema": ref(f"schemas/{schema}")}}
            by_name[f"{name}{status.value}"] = {"description": why, "headers": headers, "content": content}
    return by_name


def ref(what: str) -> Json:
    """A reference to a component."""
    return {"$ref": f"#/components/{what}"}


def errors(*statuses: int, form: str = "") -> Json:
    """References to the error responses of those statuses."""
    return {str(status): ref(f"responses/{form}{status}") for status in statuses}


#: Errors of a route that classifies; of one that does not.
CLASSIFYING, _OTHER = (400, 408, 413, 415, 422, 429, 502, 503, 504), (400, 405)


def ok(description: str, content: Json) -> Json:
    """A 200 with the headers that every response has."""
    return {"200": {"description": description, "headers": _SENT, "content": content}}


def json_content(schema: Json) -> Json:
    """JSON of that schema."""
    return {"application/json": {"schema": schema}}


def get(name: str, summary: str, content: Json, *statuses: int, form: str = "") -> Json:
    """A GET operation that answers 200 with ``content``, or one of the statuses with an error of the ``form``."""
    return {
        "operationId": name,
        "summary": summary,
        "responses": {**ok(summary + ".", content), **errors(*_OTHER, *statuses, form=form)},
    }
