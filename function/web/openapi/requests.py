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
#: What a request may ask for, in a query too; errors is for several texts alone.
OPTIONS: Json = {
    name: option.kind.schema() | ({} if option.default is None else {"default": option.default})
    for name, option in _DECLARED.items()
    if name != "errors"
}
ERRORS: Json = _DECLARED["errors"].kind.schema() | {"default": _DECLARED["errors"].default}
MEANINGS = {name: option.description for name, option in _DECLARED.items()}
_NULL: Json = {"type": "null"}
#: Media types of an event's data, which parameters may follow.
_JSON_KIND, _TEXT_KIND = r"^(application/json|[^;]*\+json)\s*(;|$)", r"^text/plain\s*(;|$)"
_EVENT = {"specversion": "1.0", "id": "1", "source": "/me", "type": "org.example.text"}
_ERRORS: Json = {"enum": [*_DECLARED["errors"].kind.schema()["enum"], None]}


def _nullable() -> Json:
    """The options in a body, where null is the default; a query has no null."""
    return {name: {"anyOf": [schema, {"type": "null"}]} for name, schema in OPTIONS.items()}


def pair(pairs: Pairs) -> Json:
    """An object in a list of texts: a pair, or a text alone where the model takes it. Other fields are ignored."""
    return {
        "type": "object",
        "description": "One text." if pairs == "refused" else "Two texts that are classified together.",
        "required": ["text", "text_pair"] if pairs == "required" else ["text"],
        "properties": {"text": ref("schemas/Text"), "text_pair": _second(pairs), **dict.fromkeys(_DECLARED, False)},
        "examples": [{"text": EXAMPLE} if pairs == "refused" else PAIR],
    }


def _second(pairs: Pairs) -> Json:
    text = ref("schemas/Text")
    return {"refused": _NULL, "required": text, "allowed": {"anyOf": [text, _NULL]}}[pairs]


def asked(service: ClassifyService) -> Json:
    """The body of a request for one text or many."""
    pairs = service.classifier.pairs
    options = {name: {"description": MEANINGS[name], **schema} for name, schema in _nullable().items()}
    most = service.limits.texts
    errors = {**_ERRORS, "description": MEANINGS["errors"]}
    texts = {"type": "array", "minItems": 1, "maxItems": most}

    def form(name: str, schema: Json, errors: Json, *required: str) -> Json:
        beside = {"texts": False, "text_pair": _second(pairs)} if name == "text" else {"text": False, "text_pair": _NULL}
        properties = {name: schema, **beside, **options, "errors": errors}
        return {"type": "object", "title": name, "required": [name, *required], "properties": properties}

    kinds = {"refused": ["Text", "Row"], "required": ["Pair"], "allowed": ["Text", "Pair"]}[pairs]
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


def event(data: Json, pairs: Pairs) -> Json:
    """A structured CloudEvent with ``data``, or with a plain text where the model takes one; or with either as base64."""

    def form(kind: Json, data: Json, encoded: Json, *required: str) -> Json:
        return {"required": [*required], "properties": {"datacontenttype": kind, "data": data, "data_base64": encoded}}

    plain: Json = {"type": "string", "pattern": _TEXT_KIND}
    forms = [
        form({"anyOf": [{"type": "string", "pattern": _JSON_KIND}, _NULL]}, data, _NULL, "data"),
        *([] if pairs == "required" else [form(plain, ref("schemas/Text"), _NULL, "data", "datacontenttype")]),
        form({"type": ["string", "null"]}, _NULL, {"type": "string", "contentEncoding": "base64"}, "data_base64"),
    ]
    return {**_attributes(), "anyOf": forms, "examples": [{**_EVENT, "data": examples(pairs)[0]}]}


def event_answer(data: Json) -> Json:
    """The structured CloudEvent that answers one."""
    event = _attributes()
    kind = {"datacontenttype": {"const": "application/json"}}
    return {**event, "required": [*event["required"], "data"], "properties": {**event["properties"], **kind, "data": data}}


def _attributes() -> Json:
    name = {"type": "string", "minLength": 1}
    required = {"specversion": {"const": "1.0"}, "id": name, "source": name, "type": name}
    return {"type": "object", "required": [*required], "properties": {**required, "subject": {"type": ["string", "null"]}}}


def inference(service: ClassifyService) -> Json:
    """An inference request in JSON alone."""
    pairs, most = service.classifier.pairs, service.limits.texts
    outputs = [output["name"] for output in metadata("", service.classifier.labels, pairs, service.kind)["outputs"]]
    output = {"type": "object", "required": ["name"], "properties": {"name": {"enum": outputs}}}
    text = ref("schemas/Text")
    texts: Json = {"anyOf": [text, {"type": "array", "items": text}]}
    of_all = {"type": ["object", "null"], "properties": {**_nullable(), "errors": {"enum": ["request", None]}}}
    of_each = {"type": "object", "required": ["errors"], "properties": {**_nullable(), "errors": {"const": "item"}}}
    data = PAIR if pairs == "required" else {"text": EXAMPLE}
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {"id": {"type": ["string", "null"]}, "outputs": {"type": ["array", "null"], "items": output}},
        "anyOf": [
            {"title": "texts", "properties": {"parameters": of_all, "inputs": _inputs(pairs, most, texts)}},
            # Whether the model takes a text alone is that text's error, too.
            {
                "title": "texts, each with its own error",
                "required": ["parameters"],
                "properties": {"parameters": of_each, "inputs": _inputs("allowed", most, {})},
            },
        ],
        "examples": [
            {"inputs": [{"name": name, "datatype": "BYTES", "shape": [1], "data": [text]} for name, text in data.items()]}
        ],
    }


def _inputs(pairs: Pairs, most: int, items: Json) -> Json:
    """The tensors of a request: text, and of the same shape text_pair before or after it."""
    text, second = _tensor("text", most, items), _tensor("text_pair", most, items)
    alone, paired = [[text]], [[text, second], [second, text]]
    orders = {"refused": alone, "required": paired, "allowed": alone + paired}[pairs]
    return {
        "description": "Of two tensors the shapes are the same, and either may be first.",
        "anyOf": [{"type": "array", "prefixItems": order, "items": False, "minItems": len(order)} for order in orders],
    }


def _tensor(name: str, most: int, items: Json) -> Json:
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
            "data": {"type": "array", "minItems": 1, "maxItems": most, "items": items},
        },
    }
