"""The schemas of requests and responses, made from the service's limits and labels and from the options' declarations."""

from __future__ import annotations

from function.core.openinference import metadata
from function.core.options import Options
from function.core.service import ClassifyService
from function.web.openapi.parts import Json, ref
from vaccel_common.modelfile import Pairs
from vaccel_common.options import declared

EXAMPLE = "What a lovely day for a walk in the park"
PAIR = {"text": "We walked in the park", "text_pair": "Somebody was outside"}
_DECLARED = {option.name: option for option in declared(Options)}
#: What a request may ask for, in a query too; errors is a body's alone.
OPTIONS: Json = {
    name: option.kind.schema() | ({} if option.default is None else {"default": option.default})
    for name, option in _DECLARED.items()
    if name != "errors"
}
MEANINGS = {name: option.description for name, option in _DECLARED.items()}
_ERRORS: Json = {"enum": [*_DECLARED["errors"].kind.schema()["enum"], None]}


def schemas(service: ClassifyService) -> Json:
    """All schemas, by name."""
    text = {"type": "string", "minLength": 1, "maxLength": service.limits.chars, "pattern": r"\S", "examples": [EXAMPLE]}
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
        **({} if service.classifier.pairs == "refused" else {"Pair": _pair(service.classifier.pairs)}),
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
        "Asked": _asked(service),
        "Event": _event(ref("schemas/Asked"), _examples(service.classifier.pairs)[0]),
        "EventAnswer": _event(ref("schemas/Answer")),
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
    return {name: {"anyOf": [schema, {"type": "null"}]} for name, schema in OPTIONS.items()}


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


def _pair(pairs: Pairs) -> Json:
    """An object in a list of texts: a pair, or a text alone where the model takes both."""
    second = ref("schemas/Text") if pairs == "required" else {"anyOf": [ref("schemas/Text"), {"type": "null"}]}
    return {
        "type": "object",
        "description": "Two texts that are classified together.",
        "required": ["text", "text_pair"] if pairs == "required" else ["text"],
        "properties": {"text": ref("schemas/Text"), "text_pair": second, **dict.fromkeys(_DECLARED, False)},
        "examples": [PAIR],
    }


def _asked(service: ClassifyService) -> Json:
    pairs = service.classifier.pairs
    options = {name: {"description": MEANINGS[name], **schema} for name, schema in _nullable().items()}
    most = service.limits.texts
    errors = {**_ERRORS, "description": MEANINGS["errors"]}
    texts = {"type": "array", "minItems": 1, "maxItems": most}
    absent = {"type": "null"}
    second = {"refused": absent, "required": ref("schemas/Text"), "allowed": {"anyOf": [ref("schemas/Text"), absent]}}[pairs]

    def form(name: str, schema: Json, errors: Json, *required: str) -> Json:
        beside = {"texts": False, "text_pair": second} if name == "text" else {"text": False, "text_pair": absent}
        properties = {name: schema, **beside, **options, "errors": errors}
        return {"type": "object", "title": name, "required": [name, *required], "properties": properties}

    kinds = {"refused": ["Text"], "required": ["Pair"], "allowed": ["Text", "Pair"]}[pairs]
    items = [ref(f"schemas/{kind}") for kind in kinds]
    good = {**texts, "items": items[0] if len(items) == 1 else {"anyOf": items}}
    alone = ["text_pair"] if pairs == "required" else []
    return {
        "anyOf": [
            form("text", ref("schemas/Text"), errors, *alone),
            form("texts", good, {**errors, "enum": ["request", None]}),
            {**form("texts", texts, {**errors, "enum": ["item"]}, "errors"), "title": "texts, each with its own error"},
        ],
        "examples": _examples(pairs),
    }


def _examples(pairs: Pairs) -> list[Json]:
    single: list[Json] = [{"text": EXAMPLE}, {"texts": [EXAMPLE, "See you tomorrow"], "top_k": 1}]
    paired: list[Json] = [PAIR, {"texts": [PAIR], "top_k": 1}]
    return {"refused": single, "allowed": single + paired, "required": paired}[pairs]


def _event(data: Json, example: Json | None = None) -> Json:
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
        **(
            {"examples": [{"specversion": "1.0", "id": "1", "source": "/me", "type": "org.example.text", "data": example}]}
            if example
            else {}
        ),
    }


def _infer_request(service: ClassifyService) -> Json:
    pairs = service.classifier.pairs
    described = metadata("", service.classifier.labels, pairs, service.kind)
    outputs = [output["name"] for output in described["outputs"]]
    tensors = {which["name"]: _tensor(which["name"], service.limits.texts) for which in described["inputs"]}
    inputs = {"type": "array", "minItems": 2 if pairs == "required" else 1, "maxItems": len(tensors)}
    data = PAIR if pairs == "required" else {"text": EXAMPLE}
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"]},
            "parameters": {"type": ["object", "null"], "properties": {**_nullable(), "errors": _ERRORS}},
            "inputs": {
                **inputs,
                "prefixItems": list(tensors.values()),
                "items": False,
                "description": "Of two tensors the shapes are the same, and either may be first.",
            },
            "outputs": {
                "type": ["array", "null"],
                "items": {"type": "object", "required": ["name"], "properties": {"name": {"enum": outputs}}},
            },
        },
        "examples": [
            {"inputs": [{"name": name, "datatype": "BYTES", "shape": [1], "data": [text]} for name, text in data.items()]}
        ],
    }


def _tensor(name: str, most: int) -> Json:
    return {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": {"const": name},
            "datatype": {"const": "BYTES"},
            "shape": {
                "type": "array",
                "items": {"type": "integer"},
                "description": "[n] or [n, 1], n texts.",
                "minItems": 1,
                "maxItems": 2,
            },
            "data": {"type": "array", "minItems": 1, "maxItems": most, "items": ref("schemas/Text")},
        },
    }
