"""What becomes of texts for which the model fails or gives no finite numbers, over every way in."""

from __future__ import annotations

import errno
import json
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from function.core.classifier import Classifier, Prediction
from function.core.options import Options
from tests.support.inprocess import client, extras
from vaccel_common.modelfile import ProblemType
from vaccel_rpc.client import RunResult
from vaccel_rpc.errors import (
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    RpcError,
    Unavailable,
    Unimplemented,
)
from vaccel_rpc.tensors import Tensor, from_values, is_finite, to_values

#: A run's own errors, and those of the request, with the status that a client sees.
OF_RUN = (InvalidArgument("no"), Internal("torch: no"), ResourceExhausted("more memory", errno=errno.ENOMEM))
OF_ALL: tuple[tuple[RpcError, int], ...] = (
    (Unavailable("gone"), 503), (DeadlineExceeded("late"), 504), (ResourceExhausted("the queue is full"), 429), (Cancelled("no"), 502),
    (NotFound("no such model"), 502), (PermissionDenied("no"), 502), (FailedPrecondition("damaged"), 502), (Unimplemented("no"), 502),
    (RpcError("who knows"), 502),
)  # fmt: skip
TEXTS = ["tea", "two words", "cake"]
EVENT = {"specversion": "1.0", "id": "1", "source": "/", "type": "t"}
TENSOR = {"name": "text", "datatype": "BYTES", "shape": [3], "data": TEXTS}


def failing(error: RpcError) -> Callable[[list[Any]], Sequence[float] | RpcError]:
    """The error for a text of two words."""

    def logits(ids: list[Any]) -> Sequence[float] | RpcError:
        if len(ids) != 4:
            return (0.0, 1.0, -1.0)
        if error.of_run:
            return error
        raise error

    return logits


def statuses(error: RpcError) -> list[list[int | None]]:
    """The error's status of each text, None where it has a label, over the ways in that have errors for texts."""
    client_ = client(failing(error))
    listed = client_.post("/classify", json={"texts": TEXTS, "errors": "item"})
    evented = client_.post(
        "/", data=json.dumps({**EVENT, "data": {"texts": TEXTS, "errors": "item"}}), content_type="application/cloudevents+json"
    )
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    streamed = client_.post("/classify", data=lines, content_type="application/x-ndjson")
    answers = [listed.json["predictions"], evented.json["data"]["predictions"], map(json.loads, streamed.data.splitlines())]
    return [[answer.get("error", {}).get("status") for answer in each] for each in answers]


@pytest.mark.parametrize("error", OF_RUN, ids=lambda error: error.name)
def test_a_failed_run_is_its_texts_error(error: RpcError) -> None:
    """With errors=item and in lines the others are answered."""
    assert statuses(error) == [[None, 502, None]] * 3
    body = {"inputs": [TENSOR], "parameters": {"errors": "item"}}
    outputs = {
        output["name"]: output["data"]
        for output in client(failing(error)).post("/v2/models/tweets/infer", json=body).json["outputs"]
    }
    assert outputs["label"] == ["offensive-language", "", "offensive-language"]
    assert outputs["error"] == ["", f"the agent gave no result: {error.name}: {error.message}", ""]


@pytest.mark.parametrize("error", OF_RUN, ids=lambda error: error.name)
def test_else_it_is_the_requests_error_and_names_the_text(error: RpcError) -> None:
    """By its place among many; a single text needs no name."""
    answer = client(failing(error)).post("/classify", json={"texts": TEXTS})
    detail = f"the agent gave no result: {error.name}: {error.message}"
    assert (answer.status_code, answer.json["detail"]) == (502, f"{detail} (texts[1])")
    answer = client(failing(error)).post("/v2/models/tweets/infer", json={"inputs": [TENSOR]})
    assert (answer.status_code, answer.json["error"]) == (502, f"{detail} (texts[1])")
    answer = client(failing(error)).post("/classify", data="two words", content_type="text/plain")
    assert (answer.status_code, answer.json["detail"]) == (502, detail)


@pytest.mark.parametrize(("error", "status"), OF_ALL, ids=lambda value: getattr(value, "name", value))
def test_an_error_that_concerns_all_is_the_requests(error: RpcError, status: int) -> None:
    """Also with errors=item: no text's own error."""
    answer = client(failing(error)).post("/classify", json={"texts": TEXTS, "errors": "item"})
    assert answer.status_code == status


class Outputs:
    """A runner whose runs give these outputs, one after the other."""

    def __init__(self, *outputs: list[Tensor]) -> None:
        self._outputs = outputs

    def run_each(self, requests: Sequence[Sequence[Tensor]], *_: Any, **__: Any) -> list[RunResult]:
        return [RunResult(self._outputs[i % len(self._outputs)]) for i in range(len(requests))]


def classified(*outputs: list[Tensor], kind: ProblemType = "single_label_classification", **options: Any) -> Any:
    """The first text's item."""
    file = extras()
    assert file.signature is not None
    file = replace(file, signature=replace(file.signature, problem_type=kind))
    return Classifier.of_file(file, Outputs(*outputs)).classify(["tea " * 300], None, Options(**options)).items[0]


def floats(*values: float, dtype: str = "float32") -> Tensor:
    return from_values(dtype, (1, len(values)), values)


GOOD = floats(0.0, 1.0, -1.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_no_output_of_any_run_may_be_other_than_finite(bad: float, dtype: str) -> None:
    """The first output, another one, one window of several, half precision, opposite infinities."""
    wrong = floats(0.0, bad, -bad, dtype=dtype)
    cases: tuple[tuple[list[list[Tensor]], dict[str, Any]], ...] = (
        ([[wrong]], {}),
        ([[GOOD, wrong]], {}),
        ([[GOOD], [wrong]], {"truncation": "window"}),
        ([[GOOD, GOOD], [GOOD, wrong]], {"truncation": "window"}),
    )
    for outputs, options in cases:
        item = classified(*outputs, **options)
        assert isinstance(item, Internal)
        assert str(item) == "the model's output is not finite"
    other = Tensor("int64", (1, 1), struct.pack("<q", 2**63 - 1))
    assert isinstance(classified([GOOD, other]), Prediction)


MOST, HALF = 3.4028234663852886e38, 65504.0


@pytest.mark.parametrize(
    "logits",
    [
        floats(MOST, MOST, -MOST), floats(-MOST, -MOST, -MOST), floats(1e-45, 0.0, -0.0),
        floats(HALF, HALF, -HALF, dtype="float16"), from_values("int64", (1, 3), [2**63 - 1, -(2**63), 0]),
        from_values("uint8", (1, 3), [255, 0, 1]), from_values("int8", (1, 3), [127, -128, 1]),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("kind", ["single_label_classification", "multi_label_classification", "regression"])
def test_the_largest_numbers_overflow_in_no_score(logits: Tensor, kind: ProblemType) -> None:
    """Of any dtype that travels; windows too."""
    choices: tuple[dict[str, Any], ...] = ({}, {"truncation": "window"})
    for options in choices:
        item = classified([logits], kind=kind, **options)
        assert isinstance(item, Prediction)
        assert all(map(math.isfinite, [*item.scores.values(), *item.logits.values()]))
        json.dumps(item.scores, allow_nan=False)
        if kind != "regression":
            assert all(0 <= score <= 1 for score in item.scores.values())


def test_half_precision_is_read_and_written() -> None:
    """Every value of it comes back, and a number beyond it is no such tensor."""
    every = [struct.unpack("<e", struct.pack("<H", bits))[0] for bits in range(1 << 16)]
    finite = [number for number in every if math.isfinite(number)]
    tensor = from_values("float16", [len(finite)], finite)
    assert to_values(tensor) == finite
    assert is_finite(tensor)
    with pytest.raises(OverflowError):
        from_values("float16", [1], [65520])


@pytest.mark.parametrize(("outputs", "count"), [([], 0), ([floats(1.0, 2.0)], 2), ([floats()], 0)])
def test_another_number_of_scores_is_told(outputs: list[Tensor], count: int) -> None:
    """As the text's error."""
    assert str(classified(outputs)) == f"the model gave {count} numbers for 3 labels"
