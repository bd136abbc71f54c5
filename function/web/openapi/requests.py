"""The schemas of requests, made from the service's limits and from the options' declarations."""

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


def _nullable() -> Json:
    """The options in a body, where null is the default; a query has no null."""
    return {name: {"anyOf": [schema, {"type": "null"}]} for name, schema in OPTIONS.items()}


def pair(pairs: Pairs) -> Json:
    """An object in a list of texts: a pair, or a text alone where the model takes both."""
    second = ref("schemas/Text") if pairs == "required" else {"anyOf": [ref("schemas/Text"), {"type": "null"}]}
    return {
        "type": "object",
        "description": "Two texts that are classified together.",
        "required": ["text", "text_pair"] if pairs == "required" else ["text"],
        "properties": {"text": ref("schemas/Text"), "text_pair": second, **dict.fromkeys(_DECLARED, False)},
        "examples": [PAIR],
    }


def asked(service: ClassifyService) -> Json:
    """The body of a request for one text or many."""
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
        "examples": examples(pairs),
    }


def examples(pairs: Pairs) -> list[Json]:
    """Bodies that a model which states ``pairs`` takes."""
    single: list[Json] = [{"text": EXAMPLE}, {"texts": [EXAMPLE, "See you tomorrow"], "top_k": 1}]
    paired: list[Json] = [PAIR, {"texts": [PAIR], "top_k": 1}]
    return {"refused": single, "allowed": single + paired, "required": paired}[pairs]


def event(data: Json, example: Json | None = None) -> Json:
    """A structured CloudEvent with that data."""
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


def inference(service: ClassifyService) -> Json:
    """An inference request in JSON alone."""
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
