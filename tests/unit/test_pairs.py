"""Pairs of texts over every way in, by the names and forms of transformers' pipeline; no other form is guessed."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from function.core.options import Unusable
from function.core.request import RequestLimits, of_object
from function.core.texts import Pair
from tests.support.inprocess import client, extras
from vaccel_common.modelfile import Extras, Pairs, TensorSpec

JSON, FORM, LINES, TEXT = "application/json", "application/x-www-form-urlencoded", "application/x-ndjson", "text/plain"
PAIR = {"text": "the tea was cold", "text_pair": "🍵 is a drink, 茶"}
OTHER = {"text": "we walked home", "text_pair": "nobody was at home"}
LIMITS = RequestLimits(4, 100, 4000)


def model(pairs: Pairs | None) -> Extras:
    """The shipped model's tokenizer for a network that sees segments; ``pairs``: what its signature states."""
    shipped = extras()
    assert shipped.signature
    inputs = (*shipped.signature.inputs, TensorSpec("token_type_ids", "int64", ("n", "t")))
    return replace(shipped, signature=replace(shipped.signature, inputs=inputs, pairs=pairs))


def logits(ids: list[Any]) -> tuple[float, float, float]:
    """Other logits for every other text."""
    return (sum(ids) % 97 / 97, sum(i * i for i in ids) % 89 / 89, len(ids) / 100)


@lru_cache
def cross() -> Any:
    return client(logits, model("allowed"))


def post(body: Any, kind: str = JSON, path: str = "/classify", served: Any = None, **headers: str) -> Any:
    data = body if isinstance(body, str | bytes) else json.dumps(body)
    return (served or cross()).post(path, data=data, content_type=kind, headers=headers, buffered=True)


def tensor(name: str, *texts: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "datatype": "BYTES", "shape": [len(texts)], "data": list(texts), **changes}


def infer(*inputs: dict[str, Any], served: Any = None, **more: Any) -> Any:
    return post({"inputs": list(inputs), **more}, path="/v2/models/tweets/infer", served=served)


def test_a_pair_is_what_the_tokenizer_makes_of_two_texts() -> None:
    """Its tokens are counted with all special ones, and the model sees them."""
    tokenizer = Tokenizer.from_buffer(extras().tokenizer)
    ids = tokenizer.encode(PAIR["text"], PAIR["text_pair"]).ids
    answer = post({**PAIR, "logits": True}).json
    assert answer["tokens"] == len(ids)
    assert list(answer["logits"].values()) == pytest.approx(logits(ids))


def test_the_same_pair_over_every_way_in() -> None:
    """JSON, a list with texts beside it, lines, a form, events and the inference protocol give the same answer."""
    single = post(PAIR).json
    single.pop("model")
    lone = post({"text": PAIR["text"]}).json
    lone.pop("model")
    assert single["scores"] != lone["scores"]
    assert post({"texts": [PAIR, PAIR["text"], {"text": PAIR["text"], "text_pair": None}]}).json["predictions"] == [
        single,
        lone,
        lone,
    ]
    lines = post("".join(json.dumps({"id": i, **each}) + "\n" for i, each in enumerate((PAIR, {"text": PAIR["text"]}))), LINES)
    assert [json.loads(line) for line in lines.text.splitlines()] == [
        {"line": 1, "id": 0, **single},
        {"line": 2, "id": 1, **lone},
    ]
    form = cross().post("/classify", data=PAIR, content_type=FORM, buffered=True).json
    event = {"specversion": "1.0", "id": "1", "source": "/t", "type": "t"}
    structured = post({**event, "data": PAIR}, "application/cloudevents+json", "/").json["data"]
    binary = post(PAIR, JSON, "/", **{f"ce-{name}": value for name, value in event.items()}).json
    for answer in (form, structured, binary):
        answer.pop("model")
        assert answer == single
    for inputs in ((tensor("text", PAIR["text"]), tensor("text_pair", PAIR["text_pair"])),):
        for order in (inputs, inputs[::-1]):
            outputs = {output["name"]: output["data"] for output in infer(*order).json["outputs"]}
            assert outputs == {"label": [single["label"]], "scores": list(single["scores"].values())}


def test_binary_tensors_follow_each_other_in_the_order_of_the_inputs() -> None:
    """Each with its own size; too few bytes, or some that nobody counts, are refused."""
    parts = {
        name: b"".join(struct.pack("<I", len(text)) + text for text in (PAIR[name].encode(), OTHER[name].encode()))
        for name in PAIR
    }
    right = [answer["scores"] for answer in post({"texts": [PAIR, OTHER]}).json["predictions"]]

    def ask(order: tuple[str, ...], sizes: dict[str, int], after: bytes = b"") -> Any:
        inputs = [
            {"name": name, "datatype": "BYTES", "shape": [2, 1], "parameters": {"binary_data_size": sizes[name]}}
            for name in order
        ]
        head = json.dumps({"inputs": inputs}).encode()
        body = head + b"".join(parts[name] for name in order) + after
        return post(body, path="/v2/models/tweets/infer", **{"Inference-Header-Content-Length": str(len(head))})

    sizes = {name: len(part) for name, part in parts.items()}
    for order in (("text", "text_pair"), ("text_pair", "text")):
        (scores,) = [output for output in ask(order, sizes).json["outputs"] if output["name"] == "scores"]
        assert scores["data"] == pytest.approx([value for each in right for value in each.values()])
    assert "bytes follow the JSON" in ask(("text", "text_pair"), {**sizes, "text_pair": sizes["text_pair"] + 1}).json["error"]
    assert "1 bytes follow the data of the inputs" in ask(("text", "text_pair"), sizes, b"x").json["error"]


#: Body, content type and path of a wrong request; status, and what the answer says.
WRONG: list[tuple[Any, str, str, int, str]] = [
    ({**PAIR, "text_pair": ""}, JSON, "/classify", 422, "the text's text_pair is empty"),
    ({**PAIR, "text_pair": 7}, JSON, "/classify", 422, "the text's text_pair must be a string"),
    ({**PAIR, "text_pair": "\u200b"}, JSON, "/classify", 422, "the text's text_pair is empty: 1 character (U+200B), and no token"),
    ({**PAIR, "text": "\u200b"}, JSON, "/classify", 422, "the text is empty: 1 character (U+200B)"),
    ({**PAIR, "text_pair": "a" * 101}, JSON, "/classify", 422, "the text's text_pair has 101 characters; at most 100"),
    ({**PAIR, "text_pair": "\ud800"}, JSON, "/classify", 422, "the text's text_pair has an unpaired surrogate"),
    ({"text_pair": "b"}, JSON, "/classify", 422, 'either "text" or "texts" is needed'),
    ({"premise": "a", "hypothesis": "b"}, JSON, "/classify", 422, 'did you mean "text" by "premise"?'),
    ({"text": "a", "text_pairs": "b"}, JSON, "/classify", 422, '"text_pairs" is not a field; did you mean "text_pair"?'),
    ({"text": "a", "textPair": "b"}, JSON, "/classify", 422, '"textPair" is not a field; did you mean "text_pair"?'),
    ({"text": "a", "text-pair": "b"}, JSON, "/classify", 422, '"text-pair" is not a field; did you mean "text_pair"?'),
    ({"text": "a", "pair": "b"}, JSON, "/classify", 422, '"pair" is not a field; did you mean "text_pair"?'),
    ({"text": "a", "hypothesis": "b"}, JSON, "/classify", 422, '"hypothesis" is not a field; did you mean "text_pair"?'),
    ({"text": ["a", "b"]}, JSON, "/classify", 422, 'the text is a list; a pair is {"text": "...", "text_pair": "..."}'),
    ({"text": PAIR}, JSON, "/classify", 422, "the text must be a string"),
    ({"texts": [["a", "b"]]}, JSON, "/classify", 422, 'texts[0] is a list; a pair is {"text": "...", "text_pair": "..."}'),
    ({"texts": ["a"], "text_pair": "b"}, JSON, "/classify", 422, '"text_pair" goes beside "text"; in "texts" each pair is an object'),
    ({"texts": ["a"], "text_pairs": ["b"]}, JSON, "/classify", 422, '"text_pairs" is not a field; in "texts" each pair is an object'),
    ({"texts": ["a", {"text_pair": "b"}]}, JSON, "/classify", 422, 'texts[1] has no "text"'),
    ({"texts": [{"texts": "a"}]}, JSON, "/classify", 422, 'did you mean "text" by "texts"?'),
    ({"texts": [{**PAIR, "top_k": 1}]}, JSON, "/classify", 422, 'texts[0] has the option "top_k"; options go beside "texts"'),
    ({"texts": ["a", {"text": "a", "pairs": "b"}]}, JSON, "/classify", 422, 'texts[1]: "pairs" is not a field; did you mean "text_pair"?'),
    ({"texts": [PAIR, {**PAIR, "text_pair": " "}]}, JSON, "/classify", 422, "texts[1]'s text_pair is empty"),
    ("text=a&text_pair=", FORM, "/classify", 422, "the text's text_pair is empty"),
    ("texts=a&text_pair=b", FORM, "/classify", 422, '"text_pair" goes beside "text"'),
    ("a", TEXT, "/classify?text_pair=b", 422, '"text_pair" goes into the body, beside "text"'),
    ({"text": "a"}, JSON, "/classify?text_pair=b", 422, '"text_pair" goes into the body, beside "text"'),
]  # fmt: skip


@pytest.mark.parametrize(("body", "kind", "path", "status", "says"), WRONG, ids=[row[4] for row in WRONG])
def test_a_wrong_pair_is_named(body: Any, kind: str, path: str, status: int, says: str) -> None:
    """The answer says what was wrong and what would be right."""
    answer = post(body, kind, path)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert says in answer.json["detail"]


#: Inputs and parameters of a wrong inference request, and what the answer says.
WRONG_INFERENCE: list[tuple[list[Any], dict[str, Any], str]] = [
    ([tensor("text", "a"), tensor("text_pair", "b", "c")], {}, "the shape of text_pair must be that of text, [1], not [2]"),
    (
        [tensor("text", "a"), tensor("text_pair", "b", shape=[1, 1])],
        {},
        "the shape of text_pair must be that of text, [1], not [1, 1]",
    ),
    ([tensor("text", "a"), tensor("text_pair", "b", datatype="INT64")], {}, "the datatype of text_pair is BYTES"),
    ([tensor("text", "a"), tensor("text_pairs", "b")], {}, 'did you mean "text_pair" by "text_pairs"?'),
    ([tensor("text_pair", "b")], {}, "the input text is missing"),
    ([tensor("text", "a"), tensor("text_pair", "b"), tensor("text_pair", "b")], {}, '"inputs" must hold one tensor'),
    ([tensor("text_pair", "b"), tensor("text_pair", "b")], {}, "the input text_pair is there twice"),
    ([tensor("text", "a"), tensor("text_pair", "")], {}, "texts[0]'s text_pair is empty"),
    ([tensor("text", "a")], {"text_pair": "b"}, '"text_pair" is an input'),
]


@pytest.mark.parametrize(("inputs", "parameters", "says"), WRONG_INFERENCE, ids=[row[2] for row in WRONG_INFERENCE])
def test_a_wrong_second_input_is_named(inputs: list[Any], parameters: dict[str, Any], says: str) -> None:
    """In the protocol's own form, with 400."""
    answer = infer(*inputs, parameters=parameters)
    assert answer.status_code == 400
    assert says in answer.json["error"]


@pytest.mark.parametrize("errors", ["request", "item"])
def test_one_wrong_pair_of_many(errors: str) -> None:
    """It refuses the request, or has an error of its own, and the others their answers."""
    answer = post({"texts": [PAIR, {"text": "a", "pair": "b"}, ["a", "b"], {"text": "a", "text_pair": ""}], "errors": errors})
    if errors == "request":
        assert answer.status_code == 422
        return
    right, *wrong = answer.json["predictions"]
    assert right["scores"] == post(PAIR).json["scores"]
    assert [row["error"]["detail"].partition(" ")[0] for row in wrong] == ["texts[1]:", "texts[2]", "texts[3]'s"]


@pytest.mark.parametrize(("pairs", "right", "wrong", "says"), [
    ("refused", {"text": "tea"}, PAIR, "the text has a text_pair; this model takes single texts"),
    ("required", PAIR, {"text": "tea"}, 'the text has no text_pair; this model takes pairs of texts: {"text": "...", "text_pair": "..."}'),
])  # fmt: skip
def test_what_the_model_takes(pairs: Pairs, right: dict[str, str], wrong: dict[str, str], says: str) -> None:
    """As its signature states; GET /, the inference protocol's metadata and the OpenAPI document say so."""
    served = client(logits, model(pairs))
    assert post(right, served=served).status_code == 200
    answer = post(wrong, served=served)
    assert (answer.status_code, answer.json["detail"]) == (422, says)
    mixed = post({"texts": [right, wrong], "errors": "item"}, served=served).json["predictions"]
    assert ["error" in row for row in mixed] == [False, True]
    line = json.loads(post(json.dumps(wrong), LINES, served=served).text)
    assert line["error"]["detail"] == says
    assert served.get("/", headers={"Accept": JSON}, buffered=True).json["pairs"] == pairs
    named = [entry["name"] for entry in served.get("/v2/models/tweets", buffered=True).json["inputs"]]
    assert named == (["text"] if pairs == "refused" else ["text", "text_pair"])
    document = served.get("/openapi.json", buffered=True).json
    assert ("Pair" in document["components"]["schemas"]) == (pairs == "required")
    assert (TEXT in document["paths"]["/classify"]["post"]["requestBody"]["content"]) == (pairs == "refused")
    text = post("tea", TEXT, served=served)
    assert text.status_code == (200 if pairs == "refused" else 422)


def test_an_input_that_may_be_left_out_is_optional() -> None:
    """Triton's word for it, in the metadata of a model that takes texts and pairs."""
    inputs = cross().get("/v2/models/tweets", buffered=True).json["inputs"]
    assert [(entry["name"], entry.get("optional", False)) for entry in inputs] == [("text", False), ("text_pair", True)]


def test_the_model_that_ships_takes_single_texts() -> None:
    """It cannot see what tells a second text from the first: such a pair would be classified wrongly."""
    answer = post(PAIR, served=client())
    assert answer.json["detail"] == "the text has a text_pair; this model takes single texts"


LONG = {"text": "tea " * 24, "text_pair": "cake " * 19}


def long_model() -> Any:
    """A model that sees 32 tokens."""
    tokenizer = Tokenizer.from_buffer(extras().tokenizer)
    tokenizer.enable_truncation(32)
    return client(logits, replace(model("allowed"), tokenizer=tokenizer.to_str().encode()))


def test_a_long_pair_is_truncated_or_refused() -> None:
    """The answer says so; windows need a text that fits into a half of one."""
    served = long_model()
    for truncation in ("head", "tail", None):
        answer = post({**LONG, "truncation": truncation}, served=served).json
        assert (answer["tokens"], answer["truncated"]) == (32, True)
    refused = post({**LONG, "truncation": "error"}, served=served).json["detail"]
    assert refused.startswith("the text and its text_pair have 46 tokens; the model sees at most 32")
    refused = post({**LONG, "truncation": "window"}, served=served).json["detail"]
    assert refused.startswith("the text and its text_pair have 46 tokens, each more than a half of the 32 that the model sees")
    short = post({"text": "tea", "text_pair": "cake " * 20, "truncation": "window"}, served=served).json
    assert short["windows"] == 1


def test_windows_of_a_pair_are_averaged() -> None:
    """Each has the shorter text whole, and a part of the longer one."""
    served = long_model()
    words = [f"w{i}" for i in range(10)]
    answer = post({"text": "tea", "text_pair": " ".join(words * 2), "truncation": "window"}, served=served).json
    assert answer["windows"] == 2
    assert answer["tokens"] == 44
    assert "truncated" not in answer


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["text", "text_pair", "texts", "textPair", "pair", "top_k", "id"]) | st.text(max_size=4),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
def test_any_object_is_read_or_refused(data: Any) -> None:
    """Whatever a request holds: texts and pairs of strings, in order, or an error in words."""
    try:
        request = of_object(data, LIMITS, {"errors": "item"})
    except Unusable:
        return
    for text in request.texts:
        parts = text if isinstance(text, Pair) else [text]
        assert isinstance(text, Unusable) or all(isinstance(part, str) and part.strip() for part in parts)
