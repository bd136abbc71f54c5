"""The Open Inference Protocol v2: by hand, by its own schema, and by Triton's HTTP client."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

import jsonschema
import numpy as np
import pytest
import requests
import tritonclient.http as triton
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.utils import InferenceServerException

from function.core.openinference import read_request
from function.core.options import Unusable
from function.core.request import Malformed
from tests.support.functions import LABELS, post
from tests.support.optional import shared
from tests.support.servers import ServerProcess

TEXTS = ["What a lovely day", "see you later"]


@pytest.fixture
def client(function: ServerProcess) -> Iterator[triton.InferenceServerClient]:
    """Triton's HTTP client of the function."""
    with triton.InferenceServerClient(function.addresses["http"].removeprefix("http://")) as client:
        yield client


def tensor(data: Any = None, shape: Any = None, **more: Any) -> dict[str, Any]:
    data = TEXTS if data is None else data
    return {"name": "text", "datatype": "BYTES", "shape": [len(data)] if shape is None else shape, "data": data, **more}


def infer(server: ServerProcess, body: Any, path: str = "/v2/models/tweets/infer", **headers: str) -> requests.Response:
    data = body if isinstance(body, bytes) else json.dumps(body)
    return requests.post(server.addresses["http"] + path, data=data, headers=headers, timeout=20)


def outputs(answer: requests.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {output["name"]: output for output in answer.json()["outputs"]}


@pytest.mark.parametrize("path", ["/v2/models/tweets/infer", "/v2/models/tweets/versions/1/infer"])
@pytest.mark.parametrize(("data", "shape"), [(TEXTS, [2]), (TEXTS, [2, 1]), ([[text] for text in TEXTS], [2, 1])])
def test_json(function: ServerProcess, path: str, data: Any, shape: list[int]) -> None:
    """The labels and scores that /classify gives, in the shape that was asked in; id and parameters come back."""
    answer = infer(function, {"id": "a", "parameters": {"note": "x"}, "inputs": [tensor(data, shape)]}, path)
    got = outputs(answer)
    plain = post(function, {"texts": TEXTS}).json()["predictions"]
    assert got["label"]["data"] == [prediction["label"] for prediction in plain]
    assert got["label"]["shape"] == shape
    assert got["scores"]["shape"] == [2, 3]
    assert got["scores"]["data"] == pytest.approx(
        [prediction["scores"][label] for prediction in plain for label in LABELS], abs=1e-4
    )
    assert (answer.json()["id"], answer.json()["parameters"]) == ("a", {"note": "x"})


def test_options_as_parameters(function: ServerProcess) -> None:
    """Parameters have the names of /classify's options, and are answered as tensors."""

    def infer_with(data: Any = None, **parameters: Any) -> dict[str, Any]:
        return outputs(infer(function, {"inputs": [tensor(data)], "parameters": parameters}))

    assert [json.loads(labels)[0] for labels in infer_with(top_k=1)["labels"]["data"]] == ["neither", "neither"]
    assert [json.loads(labels) for labels in infer_with(threshold=0.5)["labels"]["data"]] == [["neither"], ["neither"]]
    assert infer_with(logits=True)["logits"]["shape"] == [2, 3]
    assert infer_with(["tea " * 300], truncation="window")["windows"]["data"] == [3]
    bad = infer_with(["tea", ""], errors="item")
    assert bad["error"]["data"] == ["", "texts[1] is empty"]
    assert bad["label"]["data"][1] == ""


def test_outputs_that_are_asked_for(function: ServerProcess) -> None:
    """Those and no others, in that order, each in JSON or as bytes."""
    requested = [{"name": "tokens"}, {"name": "label", "parameters": {"binary_data": True}}]
    answer = infer(function, {"inputs": [tensor()], "outputs": requested})
    head = int(answer.headers["Inference-Header-Content-Length"])
    got = json.loads(answer.content[:head])["outputs"]
    assert [output["name"] for output in got] == ["tokens", "label"]
    assert got[0]["data"] == [6, 5]
    assert got[1]["parameters"] == {"binary_data_size": 22}
    assert answer.content[head:] == (struct.pack("<I", 7) + b"neither") * 2


BAD: list[tuple[Any, dict[str, str], str]] = [
    (b"x", {}, "not valid JSON"),
    (b"[]", {}, "object"),
    ({}, {}, "inputs"),
    ({"inputs": [tensor(), tensor()]}, {}, "the input text is there twice"),
    ({"inputs": [{**tensor(), "name": ["text"]}]}, {}, "unexpected input \"['text']\""),
    ({"inputs": [{**tensor(), "name": "ids"}]}, {}, "'ids'"),
    ({"inputs": [{**tensor(), "datatype": "INT64"}]}, {}, "BYTES"),
    ({"inputs": [tensor(shape=[3])]}, {}, "2 elements"),
    ({"inputs": [tensor(shape=[1, 2])]}, {}, "[n, 1]"),
    ({"inputs": [tensor(["a", 7])]}, {}, "texts[1] must be a string"),
    ({"inputs": [tensor([])]}, {}, "at least one"),
    ({"inputs": [tensor()], "id": 7}, {}, '"id"'),
    ({"inputs": [tensor()], "parameters": []}, {}, '"parameters"'),
    ({"inputs": [tensor()], "parameters": {"top_k": 0}}, {}, "top_k"),
    ({"inputs": [tensor()], "outputs": {}}, {}, '"outputs"'),
    ({"inputs": [tensor()], "outputs": [{"name": {}}]}, {}, "unexpected output"),
    ({"inputs": [tensor(parameters={"binary_data_size": 3})]}, {}, "0 bytes follow"),
    ({"inputs": [tensor(parameters={"binary_data_size": True})]}, {}, "binary_data_size is True"),
    ({"inputs": [tensor(parameters={"binary_data_size": -1})]}, {}, "binary_data_size is -1"),
    (b'{"inputs": [{"name": "text", "parameters": {"binary_data_size": 1e400}}]}', {}, 'binary_data_size" is out of range'),
    (
        b'{"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1e400], "data": ["a"]}]}',
        {},
        '"inputs.0.shape.0" is out of range',
    ),
    ({"inputs": [tensor(shape=[10**4000])]}, {}, "text has 2 elements, not what its shape [10000"),
    (b'{"id": 1e400, "inputs": []}', {}, '"id" is out of range'),
    (b'{"inputs": [], "parameters": {"note": -1e400}}', {}, '"parameters.note" is out of range'),
    (b'{"inputs": [], "parameters": {"note": NaN}}', {}, '"parameters.note" is NaN, which is not valid JSON'),
    ({"inputs": [tensor()], "parameters": {"Top-K": 1}}, {}, '"Top-K" is not an option; did you mean "top_k"?'),
    ({"inputs": [tensor()]}, {"Inference-Header-Content-Length": "99999"}, "Inference-Header-Content-Length"),
    ({"inputs": [tensor()]}, {"Inference-Header-Content-Length": "9" * 5000}, "Inference-Header-Content-Length"),
    ({"inputs": [tensor()]}, {"Inference-Header-Content-Length": "-1"}, "Inference-Header-Content-Length"),
]


@pytest.mark.parametrize(("body", "headers", "says"), BAD, ids=[says for _, _, says in BAD])
def test_what_is_wrong_is_said(function: ServerProcess, body: Any, headers: dict[str, str], says: str) -> None:
    """A wrong request is 400, in the protocol's own form."""
    answer = infer(function, body, **headers)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert says in answer.json()["error"]


def test_no_id_and_a_null_id_are_one(function: ServerProcess) -> None:
    """Clients whose id is an optional field send null; so is a byte order mark before the JSON nothing."""
    for body in (
        json.dumps({"id": None, "inputs": [tensor()]}).encode(),
        b"\xef\xbb\xbf" + json.dumps({"inputs": [tensor()]}).encode(),
    ):
        answer = infer(function, body)
        assert answer.status_code == 200
        assert "id" not in answer.json()


def test_parameters_that_come_back_are_json(function: ServerProcess) -> None:
    """Whole numbers of any size that can be read come back as they were; parameters that are too deeply nested are refused."""
    large = 10**4000
    answer = infer(function, {"inputs": [tensor()], "parameters": {"note": large}})
    assert answer.json()["parameters"] == {"note": large}
    for depth in range(100, 2000, 50):
        note = "[" * depth + "]" * depth
        status = infer(
            function, b'{"parameters": {"note": %s}, "inputs": [%s]}' % (note.encode(), json.dumps(tensor()).encode())
        ).status_code
        assert status in (200, 400)


@pytest.mark.parametrize("path", ["/v2/models/other/infer", "/v2/models/tweets/versions/2/infer", "/v2/nothing"])
def test_what_is_not_there_is_404(function: ServerProcess, path: str) -> None:
    """Another model, another version and another route are 404."""
    answer = infer(function, {"inputs": [tensor()]}, path)
    assert (answer.status_code, list(answer.json())) == (404, ["error"])


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/v2", "metadata_server_response"), ("/v2/models/tweets", "metadata_model_response"), ("infer", "inference_response")],
)
def test_answers_fit_the_protocols_schema(function: ServerProcess, path: str, kind: str) -> None:
    """Responses fit the schema that the protocol's project publishes."""
    schemas = yaml.safe_load(shared("schemas/open-inference-rest.yaml").read_text())["components"]["schemas"]
    answer = (
        infer(function, {"inputs": [tensor()]})
        if path == "infer"
        else requests.get(function.addresses["http"] + path, timeout=10)
    )
    resolver = {"components": {"schemas": schemas}, "$ref": f"#/components/schemas/{kind}"}
    jsonschema.Draft7Validator(resolver).validate(answer.json())


def test_triton_metadata_and_health(client: triton.InferenceServerClient) -> None:
    """Triton's client finds the server live and ready, and reads its metadata."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tweets")
    assert client.is_model_ready("tweets", "1")
    assert not client.is_model_ready("other")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("tweets")
    assert metadata["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert metadata["platform"] == "pytorch_torchscript"


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_triton_infers(client: triton.InferenceServerClient, binary: bool, shape: list[int]) -> None:
    """Both encodings, either way of saying that there are two texts."""
    text = triton.InferInput("text", shape, "BYTES")
    text.set_data_from_numpy(np.array([value.encode() for value in TEXTS], dtype=object).reshape(shape), binary_data=binary)
    requested = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("label", "scores")]
    for outputs in (None, requested):
        result = client.infer("tweets", [text], outputs=outputs, request_id="r")
        labels = [label.decode() if isinstance(label, bytes) else label for label in result.as_numpy("label").reshape(-1)]
        assert labels == ["neither", "neither"]
        assert result.as_numpy("scores").sum(axis=1) == pytest.approx([1, 1], abs=1e-5)
        assert result.get_response()["id"] == "r"


def test_triton_reads_our_errors(client: triton.InferenceServerClient) -> None:
    """A wrong model and a wrong datatype come out as its own exception, with our words."""
    text = triton.InferInput("text", [1], "BYTES")
    text.set_data_from_numpy(np.array([b"tea"], dtype=object))
    with pytest.raises(InferenceServerException, match="no model 'other' here"):
        client.infer("other", [text])
    number = triton.InferInput("text", [1], "INT64")
    number.set_data_from_numpy(np.array([7], dtype=np.int64))
    with pytest.raises(InferenceServerException, match="datatype of text is BYTES, not INT64"):
        client.infer("tweets", [number])


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
)
PARTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {}, optional={name: VALUES | st.just({}) for name in ("name", "datatype", "shape", "data", "parameters")}
)
HEADS: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"inputs": st.lists(PARTS | st.just(tensor()) | st.just({**tensor(), "name": "text_pair"}), max_size=3) | VALUES},
    optional={"id": VALUES, "outputs": VALUES, "parameters": VALUES},
)


@given(st.binary(max_size=200) | HEADS.map(lambda head: json.dumps(head).encode()), st.none() | st.integers(0, 300).map(str))
def test_any_bytes_are_read_or_refused(body: bytes, length: str | None) -> None:
    """Nothing but a clear error comes out of what a client may send."""
    try:
        read_request(body, length)
    except (Malformed, Unusable) as refused:
        message = str(refused)
    else:
        return
    assert message
