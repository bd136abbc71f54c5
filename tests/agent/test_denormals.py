"""Numbers that are too small for float32's full precision count as 0, wherever a model runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import helper

from agent.engines.arrays import to_array
from tests.support.clients import client
from tests.support.onnxmodels import FLOAT, constant, info, model
from tests.support.servers import SpawnAgent
from tests.support.torchmodels import saved
from vaccel_rpc.tensors import from_values

_SMALL = 1e-30


class Shrinks(torch.nn.Module):
    """x * 1e-30, as TorchScript."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 1e-30


def shrinks() -> bytes:
    """x * 1e-30, as ONNX."""
    x, y = info("x", FLOAT, [1, None]), info("y", FLOAT, [1, None])  # one request is one text
    node = helper.make_node("Mul", ["x", "small"], ["y"])
    return model([node], [x], [y], [constant("small", np.array(_SMALL, np.float32))]).SerializeToString()


@pytest.mark.parametrize("kind", ["TorchScript", "ONNX of the store", "ONNX of a client"])
def test_denormal_numbers_count_as_zero(kind: str, spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """CPUs take a hundred times as long for them, and softmax makes them of padding."""
    store = tmp_path / "store"
    store.mkdir()
    if kind == "ONNX of the store":
        (store / "m.onnx").write_bytes(shrinks())
    calls = client(spawn_agent("--models", str(store), "--uploads", "allow"))
    session = calls.create_session()
    data = shrinks() if "ONNX" in kind else saved(Shrinks(), tmp_path / "m.pt")
    resource = calls.register_bytes(session, data)
    for count in (1, 1_000_000):  # one thread, and several
        (y,) = calls.run(session, resource, [from_values("float32", [1, 1 + count], [1.0] + [1e-10] * count)], 1)
        values = to_array(y)[0]
        assert values[0] == np.float32(_SMALL)
        assert not values[1:].any()
