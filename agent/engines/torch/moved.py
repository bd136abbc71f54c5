"""Moves programs to a device that they were not made on.

A program made on a CPU has ``torch.device("cpu")`` in it wherever it makes a mask or positions, and
constants of its own: where only the weights are moved, its first run on a GPU fails.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.export.passes import move_to_device_pass


def move_script(module: Any, device: torch.device) -> None:
    """Moves a frozen TorchScript module in place; it must not have run yet.

    Single numbers stay on the CPU: tensors of every device can be combined with them, and those
    that are calculated from sizes are read by the CPU, which would wait for a GPU each time.
    """
    for node in module.graph.findAllNodes("prim::Constant"):
        kind = node.output().type().kind()
        if kind == "DeviceObjType":
            node.s_("value", str(device))
        elif kind == "TensorType" and node.hasAttribute("value") and node.t("value").dim():
            node.t_("value", node.t("value").to(device))


def move_export(program: torch.export.ExportedProgram, device: torch.device) -> torch.export.ExportedProgram:
    """The program on that device."""
    return move_to_device_pass(program, device)
