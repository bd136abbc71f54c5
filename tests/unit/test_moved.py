"""Programs that were made on a CPU run on another device.

The device is torch's ``meta``, on which tensors have dimensions and no numbers: a program that makes a tensor on the CPU fails
there as on a GPU, for tensors of two devices cannot be combined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from agent.engines.torch.moved import move_export, move_script
from tests.support.paths import TWEETS

META = torch.device("meta")
IDS = torch.ones(2, 9, dtype=torch.int64)


class PlacedSums(nn.Module):
    """int64 [n, t] -> float32 [n]: it makes positions, looks into a table by sizes, and has a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(64, 4)
        self.register_buffer("order", torch.arange(64))
        self.register_buffer("weights", torch.tensor([1.0, 2.0, 3.0, 4.0]))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        places = torch.arange(ids.shape[1], device=ids.device)
        order: Any = self.order
        rows = self.table(order[: ids.shape[1]]) * self.weights
        sums: torch.Tensor = (rows.sum(-1) * (ids + places)).sum(1)
        return sums


def script(*, moved: bool) -> Any:
    module = torch.jit.freeze(torch.jit.trace(PlacedSums().eval(), IDS))
    if moved:
        move_script(module, META)
    return module


def shipped(*, moved: bool) -> Any:
    module = torch.jit.freeze(torch.jit.load(str(TWEETS)).eval().float())
    if moved:
        move_script(module, META)
    return lambda ids: module(ids, torch.ones_like(ids))


def export(*, moved: bool) -> Any:
    dims = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    program = torch.export.export(PlacedSums().eval(), (IDS,), dynamic_shapes=(dims,))
    return (move_export(program, META) if moved else program).module(check_guards=False)


@pytest.mark.parametrize("program", [script, shipped, export])
def test_a_program_runs_where_it_was_moved_to(program: Callable[..., Any]) -> None:
    """Whatever it makes is made there; one whose inputs alone are moved fails."""
    ids = torch.ones(3, 5, dtype=torch.int64, device=META)
    there, elsewhere = program(moved=True), program(moved=False)
    # The passes of TorchScript's optimizer compare numbers, which this device does not have.
    jit: Any = torch.jit
    with torch.inference_mode(), jit.optimized_execution(False):
        assert there(ids).device == META
        with pytest.raises((RuntimeError, NotImplementedError)):
            elsewhere(ids)
