"""All schemas, and those of responses, made from the service's limits and labels."""

from __future__ import annotations

from function.core.service import ClassifyService
from function.web.openapi import requests
from function.web.openapi.parts import Json, ref


def schemas(service: ClassifyService) -> Json:
    """All schemas, by name."""
    text = {"type": "string", "minLength": 1, "maxLength": service.limits.chars, "pattern": r"\S", "examples": [requests.EXAMPLE]}
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
            "precision": {
                "type": "string",
                "description": "Another file ran for the model, in this precision; float32: with the same answers.",
            },
            "variant": {"type": "string", "description": "That file's sha256."},
        },
    }
    return {
        "Text": text,
        "Row" if service.classifier.pairs == "refused" else "Pair": requests.pair(service.classifier.pairs),
        "Prediction": prediction,
        "Problem": _problem(),
        "ItemError": {"type": "object", "required": ["error"], "properties": {"error": ref("schemas/Problem")}},
        "One": {"allOf": [ref("schemas/Prediction"), {"type": "object", "required": ["model"], "properties": {"model": model}}]},
        "Many": {
            "type": "object",
            "required": ["predictions", "model"],
            "properties": {
                "predictions": {"type": "array", "items": {"anyOf": [ref("schemas/Prediction"), ref("schemas/ItemError")]}},
                "model": model,
            },
        },
        "Answer": {"anyOf": [ref("schemas/One"), ref("schemas/Many")]},
        "Asked": requests.asked(service),
        "Event": requests.event(ref("schemas/Asked"), service.classifier.pairs),
        "EventAnswer": requests.event_answer(ref("schemas/Answer")),
        "InferenceError": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
        "InferenceRequest": requests.inference(service),
        "InferenceResponse": {
            "type": "object",
            "required": ["model_name", "outputs"],
            "properties": {"model_name": {"type": "string"}, "id": {"type": "string"}, "outputs": {"type": "array"}},
        },
    }


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
