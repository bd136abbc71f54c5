"""Linear layers in half precision: found in both kinds of program and cast, and all else stays float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from agent.engines.torch.engine import TorchEngine
from agent.engines.torch.halved import HALVES, rewrite_export, rewrite_script
from tests.support.smallmodel import write_small_model
from tests.support.torchmodels import MaskedSum, batchable_signature, save
from vaccel_rpc.errors import InvalidArgument
from vaccel_rpc.tensors import to_values

EXAMPLE = torch.randn(3, 5, 24, generator=torch.Generator().manual_seed(3))


class MixedLayers(nn.Module):
    """Four layers with constant weights, of which two have one input and one is a product; one weight is made anew in each run."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second, self.third = nn.Linear(24, 16), nn.Linear(24, 16, bias=False), nn.Linear(16, 16)
        self.weight, self.bias = nn.Parameter(torch.randn(16, 8) / 4), nn.Parameter(torch.randn(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.third(torch.tanh(self.first(x) * self.second(x)))
        z = nn.functional.linear(y, self.third.weight * y.mean())
        # As a mask is filled: no number of half precision.
        z = z.masked_fill(z > 1e9, torch.finfo(torch.float32).min)
        return torch.addmm(self.bias, z.flatten(0, 1), self.weight)


def script(module: nn.Module, dtype: torch.dtype) -> tuple[Any, Any, int]:
    traced = torch.jit.trace(module.eval(), EXAMPLE)
    plain, half = torch.jit.freeze(traced), torch.jit.freeze(traced)
    return plain, half, rewrite_script(half, dtype)


def export(module: nn.Module, dtype: torch.dtype) -> tuple[Any, Any, int]:
    program = torch.export.export(module.eval(), (EXAMPLE,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    plain, half = program.module(), program.module()
    return plain, half, rewrite_export(half, dtype)


@pytest.mark.parametrize("kind", [script, export])
@pytest.mark.parametrize(("name", "most"), [("fp16", 0.01), ("bf16", 0.1)])
def test_layers_compute_in_half_precision(kind: Callable[..., tuple[Any, Any, int]], name: str, most: float) -> None:
    """Those with constant weights; the answers are float32, near the others and not the same."""
    plain, half, count = kind(MixedLayers(), HALVES[name])
    assert count == 4
    x = torch.randn(7, 5, 24, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        expected, answers = plain(x), half(x)
    assert answers.dtype == torch.float32
    assert 0 < (answers - expected).abs().max() < most
    # Layers with one input share its cast: three other inputs, and four outputs.
    assert str(half.graph).count("aten::to" if kind is script else "torch.ops.aten.to.dtype") == 7


@pytest.mark.parametrize("kind", [script, export])
def test_numbers_beyond_half_precision(kind: Callable[..., tuple[Any, Any, int]]) -> None:
    """fp16 cannot hold them, and says so by infinity; bf16 can."""
    finite = {}
    for name, dtype in HALVES.items():
        _, half, _ = kind(nn.Linear(24, 4), dtype)
        with torch.inference_mode():
            finite[name] = bool(torch.isfinite(half(1e6 * EXAMPLE.abs())).all())
    assert finite == {"fp16": False, "bf16": True}


def test_a_file_loads_in_half_precision(tmp_path: Path) -> None:
    """The answers are near those of float32, alone and padded; a CPU does not offer it."""
    engine, path = TorchEngine("cpu", 1), write_small_model(tmp_path / "small.pt")
    exact, half = engine.load(path), engine.load_in(path, "bf16")
    assert engine.halves == ()
    assert half.joinable
    assert half.layout
    requests = [half.layout.example(length, 1, 50) for length in (5, 12)]
    for left, right in zip(exact.run(requests, alone=False).outputs, half.run(requests, alone=False).outputs, strict=True):
        assert right[0].dtype == "float32"
        assert to_values(right[0]) == pytest.approx(to_values(left[0]), abs=0.1)
        assert right != left


def test_a_model_without_layers_is_refused(tmp_path: Path) -> None:
    """It would compute in float32."""
    path = save(MaskedSum(), tmp_path / "sums.pt", batchable_signature("sums"))
    with pytest.raises(InvalidArgument, match="no linear layers"):
        TorchEngine("cpu", 1).load_in(path, "fp16")
