"""Messages of the processes in which clients' models run: what is written is read, and what is malformed is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from agent.engines.cost import Cost
from agent.engines.onnx import boxwire
from agent.engines.onnx.boxwire import BoxedModel, BoxMessageError
from vaccel_common.imagespec import ImageSpec
from vaccel_common.modelfile import Signature, TensorSpec
from vaccel_rpc.errors import Internal, InvalidArgument, ResourceExhausted, RpcError
from vaccel_rpc.tensors import Tensor, from_values

IMAGE = TensorSpec("image", "float32", ("n", 3, 32, 32))
WORDS = TensorSpec("words", "int64", ("n", "t"), 7)
SCORES = TensorSpec("scores", "float32", ("n", 2))


def _signature(*inputs: TensorSpec, image: ImageSpec | None = None, length: str | None = None) -> Signature:
    return Signature("tea", "regression", 16, inputs, (SCORES,), "n", length, image, None)


def _read(pieces: list[boxwire.Buffer]) -> tuple[dict[str, Any], memoryview]:
    data = b"".join(pieces)
    (length,) = boxwire.LENGTH.unpack(data[:4])
    return boxwire.head_of(data[4 : 4 + length]), memoryview(data)[4 + length :]


@pytest.mark.parametrize("count", [0, 1, 100_000])
def test_tensors_are_read_as_they_were_written(count: int) -> None:
    """Of several requests, empty ones too, in one piece or in several."""
    requests = [[from_values("int64", [1, count], range(count)), Tensor("uint8", (), b"\x05")], [], [Tensor("int8", (0, 3), b"")]]
    head, data = _read(boxwire.message({"alone": True}, requests))
    kinds = boxwire.kinds_of(head, 1 << 30)
    assert boxwire.size_of(kinds) == len(data) == 8 * count + 1
    assert boxwire.tensors_of(kinds, data) == requests
    assert head["alone"] is True


@pytest.mark.parametrize(
    "signature", [_signature(WORDS, length="t"), _signature(IMAGE), _signature(IMAGE, image=ImageSpec((32, 32), 40))]
)
def test_a_model_is_read_as_it_was_described(signature: Signature) -> None:
    model = BoxedModel(signature, True, Cost(1.0, 0.5, 0.25, 0.0, 0.1, pads=False))
    assert boxwire.model_of(_read(boxwire.message(boxwire.describe(model)))[0]) == model


@pytest.mark.parametrize(
    "error",
    [
        InvalidArgument("tea"),
        Internal("onnxruntime: tea"),
        ResourceExhausted("tea"),
        ResourceExhausted("tea", errno=12, reason="memory"),
    ],
)
def test_an_error_is_read_as_it_was_raised(error: RpcError) -> None:
    read = boxwire.error_of(_read(boxwire.message(boxwire.error_head(error)))[0])
    assert read is not None
    assert (type(read), read.message, getattr(read, "memory", None)) == (
        type(error),
        error.message,
        getattr(error, "memory", None),
    )


def test_an_error_is_one_line_and_of_a_class_that_a_model_may_raise() -> None:
    read = boxwire.error_of({"error": {"code": 14, "message": "a\nb" + "c" * 9999}})
    assert type(read) is Internal
    assert read.message.startswith("a bccc")
    assert len(read.message) == 1000


GOOD = json.loads(json.dumps(boxwire.describe(BoxedModel(_signature(WORDS, length="t"), True, Cost(1, 0, 0, 0)))))


@pytest.mark.parametrize(
    "said",
    [
        {},
        {**GOOD, "signature": {**GOOD["signature"], "outputs": [{"name": "x", "dtype": "object", "dims": []}]}},
        {**GOOD, "cost": None},
        {**GOOD, "cost": {**GOOD["cost"], "a": math.nan}},
        {**GOOD, "cost": {**GOOD["cost"], "a": -1}},
        {**GOOD, "cost": {**GOOD["cost"], "a": 10**400}},
        {**GOOD, "cost": {**GOOD["cost"], "a": True}},
    ],
)
def test_a_malformed_description_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(BoxMessageError):
        boxwire.model_of(said)


def test_only_what_the_signature_allows_is_joined() -> None:
    alone = boxwire.describe(
        BoxedModel(Signature("x", "regression", None, (WORDS,), (SCORES,), None, None), True, Cost(1, 0, 0, 0))
    )
    assert not boxwire.model_of(alone).joinable


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"[" * 100_000, b'{"x": ' + b"9" * 9999 + b"}", b"\xff"])
def test_a_malformed_head_is_refused(text: bytes) -> None:
    with pytest.raises(BoxMessageError):
        boxwire.head_of(text)


@pytest.mark.parametrize(
    "tensors",
    [
        None,
        {},
        [None],
        [["int64"]],
        [[["int64", [1], 2]]],
        [[[["int64"], [1]]]],
        [[["object", [1]]]],
        [[["int64", 1]]],
        [[["int64", [-1]]]],
        [[["int64", [1.0]]]],
        [[["int64", [True]]]],
        [[["int64", [1 << 63]]]],
        [[["int64", [1] * 17]]],
        [[["int64", [1 << 62, 1 << 62]]]],
        [[["int64", [100]]] * 2],
    ],
)
def test_malformed_tensors_are_refused(tensors: Any) -> None:
    """Also such as have more bytes than they may."""
    with pytest.raises(BoxMessageError):
        boxwire.kinds_of({"tensors": tensors}, 1599)


def test_outputs_are_those_of_the_signature() -> None:
    """As many as requests, and of its dtypes."""
    kinds = boxwire.kinds_of({"tensors": [[["float32", [1, 2]]]]}, 8)
    boxwire.check_outputs(kinds, _signature(WORDS), 1)
    wrongs: list[list[list[tuple[str, tuple[int, ...]]]]] = [[], [[]], [kinds[0] * 2], [[("int64", (1, 2))]], kinds * 2]
    for wrong in wrongs:
        with pytest.raises(BoxMessageError):
            boxwire.check_outputs(wrong, _signature(WORDS), 1)


@pytest.mark.parametrize(("said", "seconds"), [(0, 0.0), (0.25, 0.25), (1e9, 2.0)])
def test_the_time_of_a_run_is_at_most_what_passed(said: float, seconds: float) -> None:
    assert boxwire.seconds_of({"seconds": said}, 2.0) == seconds
