"""The forms in which a program can be written: how a module becomes one, and how that is saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from export import onnxform
from export.archive import add_entry, exported, save_export, save_torchscript, traced

Extras = dict[str, str]
Prepare = Callable[[nn.Module, Extras], Any]


@dataclass(frozen=True)
class FileForm:
    """``prepare``: ways to make a program of a module, the preferred one first; each may raise anything.

    ``save`` writes such a program with extra files, and ``add_entry`` adds one.
    """

    title: str
    prepare: tuple[Prepare, ...]
    save: Callable[[Any, Path, Extras], None]
    add_entry: Callable[[Path, str, str], None]


#: By suffix.
FORMS = {
    ".pt": FileForm("TorchScript", (traced,), save_torchscript, add_entry),
    ".pt2": FileForm("torch.export", (exported,), save_export, add_entry),
    ".onnx": FileForm("ONNX", (onnxform.of_export, onnxform.of_trace), onnxform.save, onnxform.add_entry),
}


def listed(suffixes: list[str], last: str = "or") -> str:
    """``.pt, .pt2 or .onnx``."""
    *others, end = suffixes
    return f"{', '.join(others)} {last} {end}" if others else end
