"""int8 products in ONNX files: exact on every CPU, with other tools' weights too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from agent.engines.registry import Engines
from tests.support.onnxmodels import FLOAT, constant, info, model
from vaccel_rpc.tensors import from_values, to_values


@pytest.fixture(scope="module")
def engines() -> Engines:
    """The engines that ship, on two cores."""
    opened = Engines()
    opened.open("cpu", 2)
    return opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.onnx"


def _int8(path: Path, weights: Sequence[str]) -> Path:
    """A file of two products, a static one and another tool's dynamic one: 64 inputs times the largest weights."""
    scale, zero = constant("scale", np.array(1, np.float32)), constant("zero", np.array(0, np.uint8))
    largest = [constant(name, np.full((64, 2), 127, np.int8)) for name in dict.fromkeys(weights)]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["a"]),
        helper.make_node("MatMulIntegerToFloat", ["a", weights[0], "scale", "scale", "zero"], ["static"], domain="com.microsoft"),
        helper.make_node("MatMulInteger", ["a", weights[1], "zero"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["dynamic"], to=FLOAT),
    ]
    outputs = [info(name, FLOAT, ["n", 2]) for name in ("static", "dynamic")]
    onnx.save(model(nodes, [info("x", FLOAT, ["n", 64])], outputs, [scale, zero, *largest]), path)
    return path


def _most(engines: Engines, path: Path) -> list[list[Any]]:
    (answers,) = engines.load(path).run([[from_values("float32", [1, 64], [255.0] * 64)]], alone=False).outputs
    return [to_values(answer) for answer in answers]


def test_int8_products_do_not_overflow_on_any_cpu(engines: Engines, path: Path) -> None:
    """The largest inputs times the largest weights."""
    assert _most(engines, _int8(path, ("v", "w"))) == [[64 * 255 * 127] * 2] * 2


def test_int8_weights_that_layers_share_load_and_the_log_says_where_sums_overflow(
    engines: Engines, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """onnxruntime has no exact products with them on a CPU without VNNI."""
    exact = _most(engines, _int8(path, ("w", "w"))) == [[64 * 255 * 127] * 2] * 2
    assert exact != ("m.onnx: layers share int8 weights, so that sums can overflow on this CPU" in caplog.text)
