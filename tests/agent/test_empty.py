"""Inputs without rows, without tokens, without elements: an empty answer, or a refusal in the agent's own words."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch

from tests.support.clients import client
from tests.support.onnxmodels import foreign
from tests.support.servers import SpawnAgent
from tests.support.torchmodels import MaskedSum, UnmaskedMean, batchable_signature, saved
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.dialects import Version
from vaccel_rpc.errors import InvalidArgument
from vaccel_rpc.tensors import Tensor, from_values


class Largest(torch.nn.Module):
    """Any numbers -> the largest, [1]; torch's own error where there are none."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.max().reshape(1)


class Lengths(torch.nn.Module):
    """int64 [n, t] -> float32 [n]: runs without rows and without tokens, too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ones(x.size(0)) * x.size(1)


class Calls:
    """A session with one of the models above."""

    def __init__(self, calls: VaccelClient, name: str) -> None:
        self._calls, self._session = calls, calls.create_session()
        self._model = calls.register_path(self._session, name)

    def run(self, *inputs: Tensor) -> Tensor:
        return self._calls.run(self._session, self._model, inputs, 1, 30)[0]


def ids(*dims: int) -> Tensor:
    """Token ids, all 1."""
    count = 1
    for dim in dims:
        count *= dim
    return from_values("int64", dims, [1] * count)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A store: requests of ``sums`` and ``graph`` are joined, those of ``means`` run alone; the others have no signature."""
    onnx.save(foreign(), tmp_path / "graph.onnx")
    saved(MaskedSum(), tmp_path / "sums.pt", batchable_signature("sums"))
    saved(UnmaskedMean(), tmp_path / "means.pt", batchable_signature("means"))
    saved(Largest(), tmp_path / "largest.pt")
    saved(Lengths(), tmp_path / "lengths.pt")
    return tmp_path


@pytest.mark.parametrize(("scheme", "version"), [("unix", "0.7"), ("unix", "0.8"), ("grpc", "0.8")])
def test_what_is_empty_is_answered_or_refused_in_our_words(
    spawn_agent: SpawnAgent, models: Path, scheme: str, version: Version
) -> None:
    """Whether requests are joined or not; a model without a signature is asked first."""
    address = f"unix://{models}/a.sock" if scheme == "unix" else "grpc://127.0.0.1:0"
    calls = client(spawn_agent("-a", address, "--models", str(models), "--preload", "all"), scheme, version)
    for name in ("sums", "means", "graph"):
        model = Calls(calls, name)
        (_, labels) = model.run(ids(2, 4), ids(2, 4)).dims
        assert model.run(ids(0, 4), ids(0, 4)).dims == model.run(ids(0, 0), ids(0, 0)).dims == (0, labels)
        with pytest.raises(InvalidArgument, match=r"the inputs have length 0 \('\w+'\); at least 1 is needed"):
            model.run(ids(2, 0), ids(2, 0))
    assert Calls(calls, "lengths").run(ids(0, 3)) == Tensor("float32", (0,), b"")
    largest = Calls(calls, "largest")
    with pytest.raises(InvalidArgument, match=r"^in_tensors\[0\] is int64 \[0, 3\]: the model does not run without elements$"):
        largest.run(ids(0, 3))
    assert largest.run(ids(2, 3)) == ids(1)
