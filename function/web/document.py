"""The OpenAPI 3.1 document, made from the service's own limits, labels and options. No HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from function import __version__
from function.core.openinference import VERSION, metadata
from function.core.options import ERRORS, OPTIONS, TRUNCATIONS
from function.core.service import Service

Json = dict[str, Any]

_PROBLEM = "application/problem+json"
_EXAMPLE = "What a lovely day for a walk in the park"
_MEANING = {name: meaning for name, _, _, meaning in OPTIONS}
_OPTIONS: Json = {
    "truncation": {"type": "string", "enum": list(TRUNCATIONS), "default": "head"},
    "top_k": {"type": "integer", "minimum": 1},
    "threshold": {"type": "number"},
    "logits": {"type": "boolean", "default": False},
}
#: Why each error is sent; those after the first line are anyone's, the others are of requests that classify.
_WHY = {
    HTTPStatus.BAD_REQUEST: "The request is malformed: not valid HTTP, JSON or a CloudEvent, or not the bytes that were promised.",
    HTTPStatus.NOT_FOUND: "There is no such route, model or version.",
    HTTPStatus.METHOD_NOT_ALLOWED: "Allow names the methods.",
    HTTPStatus.REQUEST_TIMEOUT: "The request did not arrive in time (READ_TIMEOUT_S).",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body, as sent or inflated, is too large (MAX_BODY).",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The content type, its charset or the content encoding is none of those taken.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Well-formed, but no text that can be classified, too many, or a wrong or misspelt option.",
    HTTPStatus.TOO_MANY_REQUESTS: "The agents are busy; Retry-After says when to come again.",
    HTTPStatus.BAD_GATEWAY: "The agent gave no result: it does not have the model, or the model failed or gave numbers that are not finite.",
    HTTPStatus.SERVICE_UNAVAILABLE: "No agent can be reached, or as many requests run as may; Retry-After says when to come again.",
    HTTPStatus.GATEWAY_TIMEOUT: "An agent took the run and did not answer in time (REQUEST_TIMEOUT_S).",
}
_RETRY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def document(service: Service) -> Json:
    """The document for a service."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Text classification",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Classifies texts by a model that an agent runs. Every answer carries X-Request-Id and Server-Timing.",
        },
        "paths": {**_classify(), **_watch(), **_inference(service)},
        "components": {"schemas": _schemas(service), "headers": _headers(), "responses": _responses()},
    }


def _schemas(service: Service) -> Json:
    text = {"type": "string", "minLength": 1, "maxLength": service.limits.chars, "pattern": r"\S", "examples": [_EXAMPLE]}
    scores = {
        "type": "object",
        "additionalProperties": {"type": "number"},
        "examples": [dict.fromkeys(service.classifier.labels, 0.3)],
    }
    prediction = {
        "type": "object",
        "required": ["label", "score", "scores", "tokens"],
        "properties": {
            "label": {"type": "string", "enum": service.classifier.labels},
            "score": {"type": "number"},
            "scores": scores,
            "tokens": {"type": "integer", "description": "Tokens that the model saw."},
            "truncated": {"const": True, "description": "The text is longer than what the model saw."},
            "labels": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Those at or above the threshold, best first.",
            },
            "logits": scores,
            "windows": {"type": "integer", "minimum": 1, "description": "Windows whose scores were averaged."},
        },
    }
    model = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "sha256": {"type": ["string", "null"]},
            "precision": {"type": "string", "description": "A faster variant of the model ran, computed in this precision."},
            "variant": {"type": "string", "description": "That variant's sha256."},
        },
    }
    return {
        "Text": text,
        "Prediction": prediction,
        "Problem": _problem(),
        "ItemError": {"type": "object", "required": ["error"], "properties": {"error": _ref("schemas/Problem")}},
        "One": {"allOf": [_ref("schemas/Prediction"), {"type": "object", "required": ["model"], "properties": {"model": model}}]},
        "Many": {
            "type": "object",
            "required": ["predictions", "model"],
            "properties": {
                "predictions": {"type": "array", "items": {"anyOf": [_ref("schemas/Prediction"), _ref("schemas/ItemError")]}},
                "model": model,
            },
        },
        "Answer": {"anyOf": [_ref("schemas/One"), _ref("schemas/Many")]},
        "Asked": _asked(service),
        "Event": _event(_ref("schemas/Asked")),
        "EventAnswer": _event(_ref("schemas/Answer")),
        "InferenceError": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
        "InferenceRequest": _infer_request(service),
        "InferenceResponse": {
            "type": "object",
            "required": ["model_name", "outputs"],
            "properties": {"model_name": {"type": "string"}, "id": {"type": "string"}, "outputs": {"type": "array"}},
        },
    }


def _nullable() -> Json:
    """The options in a body, where null is the default; a query has no null."""
    return {name: {"anyOf": [schema, {"type": "null"}]} for name, schema in _OPTIONS.items()}


def _problem() -> Json:
    return {
        "type": "object",
        "description": "RFC 9457",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What was wrong, and what would be right."},
        },
        "examples": [{"type": "about:blank", "title": "Unprocessable Entity", "status": 422, "detail": "the text is empty"}],
    }


def _asked(service: Service) -> Json:
    options = {name: {"description": _MEANING[name], **schema} for name, schema in _nullable().items()}
    most = service.limits.texts
    errors = {"enum": [*ERRORS, None], "description": _MEANING["errors"]}
    texts = {"type": "array", "minItems": 1, "maxItems": most}

    def form(name: str, schema: Json, errors: Json, *required: str) -> Json:
        other = "texts" if name == "text" else "text"
        properties = {name: schema, other: False, **options, "errors": errors}
        return {"type": "object", "title": name, "required": [name, *required], "properties": properties}

    good = {**texts, "items": _ref("schemas/Text")}
    return {
        "anyOf": [
            form("text", _ref("schemas/Text"), errors),
            form("texts", good, {**errors, "enum": ["request", None]}),
            {**form("texts", texts, {**errors, "enum": ["item"]}, "errors"), "title": "texts, each with its own error"},
        ],
        "examples": [{"text": _EXAMPLE}, {"texts": [_EXAMPLE, "See you tomorrow"], "top_k": 1}],
    }


def _event(data: Json) -> Json:
    name = {"type": "string", "minLength": 1}
    return {
        "type": "object",
        "required": ["specversion", "id", "source", "type", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": name,
            "source": name,
            "type": name,
            "subject": {"type": ["string", "null"]},
            "datacontenttype": {"enum": ["application/json", None]},
            "data": data,
            "data_base64": {"type": "null"},
        },
        "examples": [{"specversion": "1.0", "id": "1", "source": "/me", "type": "org.example.text", "data": {"text": _EXAMPLE}}],
    }


def _infer_request(service: Service) -> Json:
    data = {"type": "array", "minItems": 1, "maxItems": service.limits.texts, "items": _ref("schemas/Text")}
    tensor = {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": {"const": "text"},
            "datatype": {"const": "BYTES"},
            "shape": {
                "type": "array",
                "items": {"type": "integer"},
                "description": "[n] or [n, 1], n texts.",
                "minItems": 1,
                "maxItems": 2,
            },
            "data": data,
        },
    }
    outputs = [output["name"] for output in metadata("", service.classifier.labels)["outputs"]]
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"]},
            "parameters": {"type": ["object", "null"], "properties": {**_nullable(), "errors": {"enum": [*ERRORS, None]}}},
            "inputs": {"type": "array", "minItems": 1, "maxItems": 1, "items": tensor},
            "outputs": {
                "type": ["array", "null"],
                "items": {"type": "object", "required": ["name"], "properties": {"name": {"enum": outputs}}},
            },
        },
        "examples": [{"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [_EXAMPLE]}]}],
    }


def _headers() -> Json:
    return {
        "RequestId": {"description": "The X-Request-Id that was sent, or a new one.", "schema": {"type": "string"}},
        "Timing": {"description": "Milliseconds: tokenize, rpc, queue, forward, total.", "schema": {"type": "string"}},
        "RetryAfter": {"description": "Seconds.", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    }


_SENT: Json = {
    "X-Request-Id": {"$ref": "#/components/headers/RequestId"},
    "Server-Timing": {"$ref": "#/components/headers/Timing"},
}


def _responses() -> Json:
    made: Json = {}
    for status, why in _WHY.items():
        headers = {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}} if status in _RETRY else {}
        for name, kind, schema in (("", _PROBLEM, "Problem"), ("Inference", "application/json", "InferenceError")):
            content = {kind: {"schema": _ref(f"schemas/{schema}")}}
            made[f"{name}{status.value}"] = {"description": why, "headers": headers, "content": content}
    return made


def _ref(what: str) -> Json:
    return {"$ref": f"#/components/{what}"}


def _errors(*statuses: int, form: str = "") -> Json:
    return {str(status): _ref(f"responses/{form}{status}") for status in statuses}


#: Errors of a route that classifies; of one that does not.
_CLASSIFYING, _OTHER = (400, 408, 413, 415, 422, 429, 502, 503, 504), (400, 405)


def _ok(description: str, content: Json) -> Json:
    return {"200": {"description": description, "headers": _SENT, "content": content}}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _classify() -> Json:
    query = [
        {"name": name, "in": "query", "schema": schema, "description": f"{_MEANING[name]}. A value in the body takes precedence."}
        for name, schema in _OPTIONS.items()
    ]
    summary = "Lines alone: adds a last line with how many there were, and how many of them with an error."
    query.append({"name": "summary", "in": "query", "schema": {"type": "boolean", "default": False}, "description": summary})
    form = {
        "type": "object",
        "required": ["text"],
        "properties": {"text": _ref("schemas/Text"), "top_k": _OPTIONS["top_k"], "truncation": _OPTIONS["truncation"]},
    }
    bodies: Json = {
        "application/json": {"schema": _ref("schemas/Asked")},
        "text/plain": {"schema": _ref("schemas/Text")},
        "application/x-www-form-urlencoded": {"schema": form},
        "application/x-ndjson": {
            "schema": {
                "description": "An object a line: a text, if you like an id, and options. A bad line has an error in its answer."
            },
            "examples": {"lines": {"value": '{"id": 1, "text": "good morning"}\n{"id": 2, "text": "see you"}\n'}},
        },
    }
    answers: Json = {
        "application/json": {"schema": _ref("schemas/Answer")},
        "application/x-ndjson": {"schema": {"type": "string"}},
    }
    event = {"application/cloudevents+json": {"schema": _ref("schemas/Event")}}
    event_answer = {"application/cloudevents+json": {"schema": _ref("schemas/EventAnswer")}}
    binary = (
        "A CloudEvent in binary mode has its attributes in headers (ce-specversion: 1.0, ce-id, ce-source, ce-type) and the same "
        "body; it is answered by an event of type dev.vaccel.classification in the same mode."
    )

    def post(name: str, more: str, bodies: Json, answers: Json) -> Json:
        return {
            "operationId": name,
            "summary": "Classify one text or many",
            "description": f"Bodies may be compressed (Content-Encoding: gzip or deflate). {more}".strip(),
            "parameters": query,
            "requestBody": {"required": True, "content": bodies},
            "responses": {**_ok("Predictions, in the order of the texts.", answers), **_errors(*_CLASSIFYING)},
        }

    about = {"application/json": {"schema": {"type": "object", "required": ["service", "ready", "model"]}}, "text/html": {}}
    return {
        "/classify": {"post": post("classify", "", bodies, answers)},
        "/": {
            "get": _get("about", "What the service is and how it is; a page for a browser", about, 503),
            "post": post("classifyOrEvent", binary, {**bodies, **event}, {**answers, **event_answer}),
        },
        "/page/{name}": {
            "parameters": [
                {"name": "name", "in": "path", "required": True, "schema": {"enum": ["index.html", "page.js", "style.css"]}}
            ],
            "get": _get("asset", "A part of the page", {"text/html": {}, "text/css": {}, "text/javascript": {}}, 404, 503),
        },
    }


def _get(name: str, summary: str, content: Json, *errors: int, form: str = "") -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {**_ok(summary + ".", content), **_errors(*_OTHER, *errors, form=form)},
    }


def _watch() -> Json:
    state = _json({"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}})
    return {
        "/health/liveness": {"get": _get("liveness", "The process serves", state)},
        "/health/readiness": {"get": _get("readiness", "An agent can be reached", state, 503)},
        "/metrics": {"get": _get("metrics", "Prometheus metrics", {"text/plain": {"schema": {"type": "string"}}})},
        "/openapi.json": {"get": _get("openapi", "This document", _json({"type": "object"}), 503)},
    }


def _inference(service: Service) -> Json:
    def parameter(name: str, value: str) -> Json:
        return {"name": name, "in": "path", "required": True, "schema": {"enum": [value]}}

    def get(name: str, summary: str, *errors: int) -> Json:
        return _get(name, summary, _json({"type": "object"}), *errors, form="Inference")

    model = [parameter("name", str(service.model["name"]))]
    not_ready = {"503": {"description": _WHY[HTTPStatus.SERVICE_UNAVAILABLE], "content": _json(_ref("schemas/InferenceError"))}}
    paths: Json = {
        "/v2": {"get": get("v2Server", "Server metadata", 503)},
        "/v2/health/live": {"get": get("v2Live", "Server live")},
        "/v2/health/ready": {"get": get("v2Ready", "Server ready")},
    }
    paths["/v2/health/ready"]["get"]["responses"] |= not_ready
    for middle, parameters in (("", model), ("/versions/{version}", [*model, parameter("version", VERSION)])):
        base, name = f"/v2/models/{{name}}{middle}", "Version" if middle else ""
        paths[base] = {"parameters": parameters, "get": get(f"v2Model{name}", "Model metadata", 404, 503)}
        paths[f"{base}/ready"] = {"parameters": parameters, "get": get(f"v2ModelReady{name}", "Model ready", 404)}
        paths[f"{base}/ready"]["get"]["responses"] |= not_ready
        paths[f"{base}/infer"] = {"parameters": parameters, "post": _infer(f"v2Infer{name}")}
    return paths


def _infer(name: str) -> Json:
    binary = (
        "With Inference-Header-Content-Length, tensors of the binary data extension follow that many bytes of JSON; parameters "
        "take the options of /classify."
    )
    answers = {"application/json": {"schema": _ref("schemas/InferenceResponse")}, "application/octet-stream": {}}
    return {
        "operationId": name,
        "summary": "Open Inference Protocol v2: infer",
        "description": binary,
        "requestBody": {"required": True, "content": _json(_ref("schemas/InferenceRequest"))},
        "responses": {
            **_ok("The outputs asked for.", answers),
            **_errors(404, *(status for status in _CLASSIFYING if status != HTTPStatus.UNPROCESSABLE_ENTITY), form="Inference"),
        },
    }
