"""The OpenAPI 3.1 document, made from the service's own limits, labels and options. No HTTP."""

from __future__ import annotations

import json
import re

from function import __version__
from function.core.service import ClassifyService
from function.web.openapi import inference
from function.web.openapi.parts import CLASSIFYING, Json, errors, get, headers, json_content, ok, ref, responses
from function.web.openapi.requests import ERRORS, MEANINGS, OPTIONS, PAIR
from function.web.openapi.schemas import schemas

_DESCRIPTION = "Classifies texts by a model that an agent runs. Every answer carries X-Request-Id and Server-Timing."


def document(service: ClassifyService) -> Json:
    """The document for a service."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Text classification",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": " ".join([_DESCRIPTION, *(_plain(text) for text in service.about.json().values())]),
        },
        "paths": {**_classify(service), **_watch(service), **inference.paths(service)},
        "components": {"schemas": schemas(service), "headers": headers(), "responses": responses()},
    }


def _plain(text: str) -> str:
    """Text of a model's author; a description is CommonMark, in which it could be a link or HTML."""
    return re.sub(r"[\\`*_\[\]<>&#!|~]", r"\\\g<0>", text)


def _classify(service: ClassifyService) -> Json:
    pairs = service.classifier.pairs
    query = [
        {"name": name, "in": "query", "schema": schema, "description": f"{MEANINGS[name]} A value in the body takes precedence."}
        for name, schema in {**OPTIONS, "errors": ERRORS}.items()
    ]
    summary = "Lines alone: adds a last line with how many there were, and how many of them with an error."
    query.append({"name": "summary", "in": "query", "schema": {"type": "boolean", "default": False}, "description": summary})
    texts = {"text": ref("schemas/Text")} | ({} if pairs == "refused" else {"text_pair": ref("schemas/Text")})
    form = {
        "type": "object",
        "required": [*texts] if pairs == "required" else ["text"],
        "properties": {**texts, "top_k": OPTIONS["top_k"], "truncation": OPTIONS["truncation"]},
    }
    line, more = ({"text": "good morning"}, {"text": "see you"}) if pairs != "required" else (PAIR, PAIR)
    bodies: Json = {
        "application/json": {"schema": ref("schemas/Asked")},
        **({} if pairs == "required" else {"text/plain": {"schema": ref("schemas/Text")}}),
        "application/x-www-form-urlencoded": {"schema": form},
        "application/x-ndjson": {
            "schema": {
                "description": "Each line is an object: a text, or a pair, optionally an id, and options. A bad line has an error in its answer."
            },
            "examples": {"lines": {"value": "".join(json.dumps({"id": i, **each}) + "\n" for i, each in ((1, line), (2, more)))}},
        },
    }
    answers: Json = {
        "application/json": {"schema": ref("schemas/Answer")},
        "application/x-ndjson": {"schema": {"type": "string"}},
    }
    event = {"application/cloudevents+json": {"schema": ref("schemas/Event")}}
    event_answer = {"application/cloudevents+json": {"schema": ref("schemas/EventAnswer")}}
    binary = (
        "A CloudEvent in binary mode has its attributes in headers (ce-specversion: 1.0, ce-id, ce-source, ce-type) and the same "
        "body; it is answered by an event of type dev.vaccel.classification in the same mode."
    )

    def post(name: str, more: str, bodies: Json, answers: Json) -> Json:
        return {
            "operationId": name,
            "summary": "Classify one text or many, or pairs of texts",
            "description": f"Bodies may be compressed (Content-Encoding: gzip or deflate). {more}".strip(),
            "parameters": query,
            "requestBody": {"required": True, "content": bodies},
            "responses": {**ok("Predictions, in the order of the texts.", answers), **errors(*CLASSIFYING)},
        }

    about = {"application/json": {"schema": {"type": "object", "required": ["service", "ready", "model"]}}, "text/html": {}}
    return {
        "/classify": {"post": post("classify", "", bodies, answers)},
        "/": {
            "get": get("about", "What the service is and how it is; a page for a browser", about, 503),
            "post": post("classifyOrEvent", binary, {**bodies, **event}, {**answers, **event_answer}),
        },
        "/page/state": {
            "get": get("state", "What GET / says, for the page", {"application/json": about["application/json"]}, 503)
        },
        "/page/{name}": {
            "parameters": [
                {"name": "name", "in": "path", "required": True, "schema": {"enum": ["index.html", "page.js", "style.css"]}}
            ],
            "get": get("asset", "A part of the page", {"text/html": {}, "text/css": {}, "text/javascript": {}}, 404, 503),
        },
    }


def _watch(service: ClassifyService) -> Json:
    state = json_content({"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}})
    metrics = {"/metrics": {"get": get("metrics", "Prometheus metrics", {"text/plain": {"schema": {"type": "string"}}})}}
    return {
        "/health/liveness": {"get": get("liveness", "The process serves", state)},
        "/health/readiness": {"get": get("readiness", "Whether to send requests", state, 503)},
        **(metrics if service.metrics else {}),
        "/openapi.json": {"get": get("openapi", "This document", json_content({"type": "object"}), 503)},
    }
