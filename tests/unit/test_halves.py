"""Linear layers whose weights are half precision numbers: found in both kinds of program, replaced, and the answers stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from agent.engines.torch.engine import TorchEngine
from agent.engines.torch.fp16_linear import rewrite_export, rewrite_script
from tests.support.paths import TWEETS
from tests.support.torchmodels import save, signature
from vaccel_rpc.tensors import Tensor

Rewritten = tuple[Any, Any, int]


class Layers(nn.Module):
    """Two linear layers, one without a bias, and a third whose weight is made anew in each run."""

    def __init__(self, *, half: bool) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second, self.third = nn.Linear(24, 40), nn.Linear(40, 16, bias=False), nn.Linear(16, 16)
        if half:
            self.half().float()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(torch.relu(self.first(x)))
        return nn.functional.linear(y, self.third.weight * y.mean())


EXAMPLE = torch.randn(3, 5, 24, generator=torch.Generator().manual_seed(2))


def script(module: nn.Module) -> Rewritten:
    traced = torch.jit.trace(module.eval(), EXAMPLE)
    plain, quick = torch.jit.freeze(traced), torch.jit.freeze(traced)
    return plain, quick, rewrite_script(quick)


def export(module: nn.Module) -> Rewritten:
    rows = {0: torch.export.Dim.DYNAMIC}
    program = torch.export.export(module.eval(), (EXAMPLE,), dynamic_shapes=(rows,))
    plain, quick = program.module(), program.module()
    return plain, quick, rewrite_export(quick)


@pytest.mark.parametrize("kind", [script, export])
@pytest.mark.parametrize("rows", [0, 1, 3, 50])
def test_the_answers_stay(kind: Callable[[nn.Module], Rewritten], rows: int) -> None:
    """To float32's last digits, of any number of rows; a weight that is no constant is left alone."""
    plain, quick, count = kind(Layers(half=True))
    assert count == 2
    x = torch.randn(max(rows, 2), 5, 24)[:rows]
    with torch.inference_mode():
        assert torch.allclose(plain(x), quick(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [script, export])
def test_weights_that_are_no_halves_are_left_as_they_are(kind: Callable[[nn.Module], Rewritten]) -> None:
    """A weight that half precision cannot hold is not rounded."""
    plain, quick, count = kind(Layers(half=False))
    assert count == 0
    with torch.inference_mode():
        assert torch.equal(plain(EXAMPLE), quick(EXAMPLE))


def test_every_linear_layer_of_the_shipped_model_is_replaced() -> None:
    """Six layers in each of six blocks are replaced, and the last one."""
    module = torch.jit.freeze(torch.jit.load(str(TWEETS)).eval().float())
    assert rewrite_script(module) == 37
    assert "aten::linear" not in str(module.graph)


def test_the_shipped_model_has_a_cost() -> None:
    """Longer and larger batches take longer, and there is a part that does not depend on either."""
    program = TorchEngine("cpu", 2).load(Path(TWEETS))
    cost = program.cost
    assert program.joinable
    assert 0 < cost.seconds(1, 8) < cost.seconds(1, 128) < cost.seconds(8, 128) < 10


class Positions(nn.Module):
    """int64 [n, t], t at most 40 -> float32 [n, 3]; padding (0) changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.arange(120.0).reshape(40, 3))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        places = torch.arange(ids.shape[1])
        return ((ids > 0).unsqueeze(-1) * self.table[places]).sum(1)


def test_a_program_without_a_signature_is_run_as_it_is(tmp_path: Path) -> None:
    """Without a signature the inputs to try it with are unknown, and the program runs as it is."""
    layer = nn.Linear(4, 2).half().float()
    torch.export.save(torch.export.export(layer.eval(), (torch.ones(3, 4),)), tmp_path / "layer.pt2")
    program = TorchEngine("cpu", 1).load(tmp_path / "layer.pt2")
    x = Tensor("float32", (3, 4), bytes(48))
    assert program.run([[x]], alone=True).outputs[0][0].dims == (3, 2)


def test_a_model_that_does_not_say_how_long_a_text_may_be_is_tried_with_short_ones(tmp_path: Path) -> None:
    """It is joined, though it takes 40 tokens at most."""
    text = signature("places", [("ids", "int64", ["n", "t"])], [("out", "float32", ["n", 3])], batch="n", length="t")
    save(Positions(), tmp_path / "places.pt", text.replace('"max_length": 64', '"max_length": null'))
    program = TorchEngine("cpu", 1).load(tmp_path / "places.pt")
    assert program.joinable
    assert program.cost.seconds(4, 8) > 0
