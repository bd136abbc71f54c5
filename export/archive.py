"""Writes model files: a program with its extra files, and the file with its digest."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from export.tokenizer import write_digest
from vaccel_common.modelfile import parse_signature


def classifier_signature(name: str, problem_type: str, max_length: int, classes: int, *, inputs: Sequence[str], pad: int) -> str:
    """``signature.json`` of a text classifier, batched along n and padded along t.

    Its inputs are int64 [n, t], its output is float32 [n, classes]. ``pad`` is the token id that
    pads the first input; the others (masks, segment ids) are padded with 0.
    """
    specs = [
        {"name": input_name, "dtype": "int64", "dims": ["n", "t"], "pad": pad if i == 0 else 0}
        for i, input_name in enumerate(inputs)
    ]
    outputs = [{"name": "logits", "dtype": "float32", "dims": ["n", classes]}]
    signature = {"format": 1, "name": name, "problem_type": problem_type, "max_length": max_length}
    return json.dumps({**signature, "inputs": specs, "outputs": outputs, "batch": "n", "length": "t"}, indent=1)


def extra_files(tokenizer: bytes, labels: Sequence[str], signature: str) -> dict[str, str]:
    """The extra files of every program. Raises `ModelFileError` for an invalid signature."""
    parse_signature(signature)
    return {"tokenizer.json": tokenizer.decode(), "labels.json": json.dumps(list(labels)), "signature.json": signature}


def example_inputs(signature: str) -> tuple[Tensor, ...]:
    """Inputs to trace a program with: two texts of different lengths, [2, 16] each."""
    specs = parse_signature(signature).inputs
    ids = torch.arange(2 * 16).reshape(2, 16) % 7
    mask = torch.ones(2, 16, dtype=torch.int64)
    mask[1, 9:] = 0
    return tuple(ids if i == 0 else (mask if "mask" in spec.name else torch.zeros_like(ids)) for i, spec in enumerate(specs))


def write_torchscript(module: nn.Module, path: Path, extras: dict[str, str], *, half: bool) -> str:
    """Saves ``module`` as TorchScript, traced if need be; returns the file's sha256.

    ``half`` stores the weights in half precision. The trace is always made in float32, so
    ``torch.jit.load(path).float()`` computes in float32 in either case.
    """
    module = module.eval()
    if not isinstance(module, torch.jit.ScriptModule):
        with torch.inference_mode():
            module = torch.jit.trace(module, example_inputs(extras["signature.json"]), check_trace=False)
    if half:
        module = module.half()
    torch.jit.save(module, str(path), _extra_files=extras)
    _drop_debug_files(path)
    return write_digest(path)


def _drop_debug_files(path: Path) -> None:
    """Removes ``*.debug_pkl`` from an archive: 1 % of its size, and the builder's paths."""
    bare = path.with_name(path.name + ".bare")
    # This writer keeps the alignment that lets torch map the weights into memory.
    writer = torch._C.PyTorchFileWriter(str(bare))
    reader = torch._C.PyTorchFileReader(str(path))
    for name in reader.get_all_records():
        if not name.endswith(".debug_pkl") and name not in ("version", ".data/serialization_id", "byteorder"):
            data = reader.get_record(name)
            writer.write_record(name, data, len(data))
    writer.write_end_of_file()
    bare.replace(path)


def write_export(module: nn.Module, path: Path, extras: dict[str, str]) -> str:
    """Saves ``module`` by ``torch.export``, with dynamic batch and length; returns the sha256."""
    examples = example_inputs(extras["signature.json"])
    dynamic: tuple[Any, ...] = tuple({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC} for _ in examples)
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in inspect.signature(module.forward).parameters.values()):
        dynamic = (dynamic,)
    program = torch.export.export(module.eval(), examples, dynamic_shapes=dynamic)
    torch.export.save(program, path, extra_files=extras)
    return write_digest(path)
