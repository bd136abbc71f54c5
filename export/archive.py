"""Writes model files: a program with its extra files, and the file with its digest.

torch writes a program to memory, and Python the result to the disk: where that is full, torch's own writers of
files end the process, and Python raises an ``OSError``. This takes memory of a few times the model's size, which
has room, since the model was loaded and runs in the checks.
"""

from __future__ import annotations

import inspect
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from export.outputs import drafts, place, require_place
from export.refusal import reading, require_kind
from vaccel_common.about import About, write_about
from vaccel_common.modelfile import TensorSpec, parse_signature

#: The extra files of a program that `models.export checkpoint` and `models.variants` write, but for the verdict.
ENTRIES = ("tokenizer.json", "labels.json", "signature.json", "config.json", "about.json", "variant.json")
_EXAMPLE = "the tea was cold and the train was late"
#: Input name -> what of an encoding it holds, as the function has it.
SOURCES = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


def extra_files(tokenizer: bytes, labels: Sequence[str], signature: str, about: About = About()) -> dict[str, str]:  # noqa: B008 frozen
    """The extra files of every program; ``about.json`` where ``about`` states something.

    Raises `ModelFileError` for an invalid signature, ``ValueError`` for an invalid ``about``.
    """
    parse_signature(signature)
    extras = {"tokenizer.json": tokenizer.decode(), "labels.json": json.dumps(list(labels)), "signature.json": signature}
    return {**extras, "about.json": write_about(about)} if about.json() else extras


def example_inputs(extras: dict[str, str]) -> tuple[Tensor, ...]:
    """Inputs to trace a program with: two texts of different lengths, the shorter one padded.

    They are texts as the tokenizer encodes them, since some models look for its special tokens. Where
    the signature says that only one text is taken, it is the first one.
    """
    texts = [_EXAMPLE, _EXAMPLE[: len(_EXAMPLE) // 2]]
    encodings = Tokenizer.from_str(extras["tokenizer.json"]).encode_batch(texts)
    longest = max(len(encoding.ids) for encoding in encodings)
    return tuple(_example(spec, encodings, longest) for spec in parse_signature(extras["signature.json"]).inputs)


def _example(spec: TensorSpec, encodings: Sequence[Any], longest: int) -> Tensor:
    rows = [list(getattr(encoding, SOURCES.get(spec.name, "type_ids"))) for encoding in encodings]
    texts, length = (
        size if isinstance(size, int) else any_size for size, any_size in zip(spec.dims, (len(rows), longest), strict=False)
    )
    full = [[*row, *[int(spec.pad)] * length][:length] for row in rows[:texts]]
    return torch.tensor(full, dtype=getattr(torch, spec.dtype))


def traced(module: nn.Module, extras: dict[str, str]) -> Any:
    """``module`` as TorchScript, traced in float32 unless it is TorchScript already."""
    module = module.eval()
    if isinstance(module, torch.jit.ScriptModule):
        return module
    with torch.inference_mode():
        return torch.jit.trace(module, example_inputs(extras), check_trace=False)


def save_torchscript(module: Any, path: Path, extras: dict[str, str]) -> None:
    """Saves a TorchScript module with its extra files, and without the builder's paths."""
    buffer = io.BytesIO()
    torch.jit.save(module, buffer, _extra_files=extras)
    # ``*.debug_pkl`` is 1 % of the size, and has the builder's paths.
    path.write_bytes(_rewritten(buffer, lambda name: name.endswith(".debug_pkl"), {}))


def write_torchscript(module: nn.Module, path: Path, extras: dict[str, str], *, half: bool) -> str:
    """Saves ``module`` as TorchScript, traced if need be; returns the file's sha256.

    ``half`` stores the weights in half precision. The trace is always made in float32, so
    ``torch.jit.load(path).float()`` computes in float32 in either case.
    """
    require_place(path)
    program = traced(module, extras)
    with drafts(path) as folder:
        draft = folder / "draft.pt"
        save_torchscript(program.half() if half else program, draft, extras)
        return place(draft, path)


def read_script(path: Path, extras: dict[str, Any] | None = None) -> Any:
    """The TorchScript module in a file; ``extras``: gets the extra files that it names. Raises `Refused` where it is none."""
    require_kind(path, "torchscript")
    with reading(path, "a TorchScript file"):
        return torch.jit.load(str(path), _extra_files=extras)


def loaded(path: Path) -> tuple[Any, dict[str, str]]:
    """The program of a .pt file, and those of `ENTRIES` that it has."""
    names: dict[str, Any] = dict.fromkeys(ENTRIES, "")
    program = read_script(path, names)
    texts = {name: value.decode() if isinstance(value, bytes) else value for name, value in names.items()}
    return program, {name: text for name, text in texts.items() if text}


def add_entry(path: Path, name: str, content: str) -> None:
    """Adds an extra file to a ``.pt`` or ``.pt2`` archive."""
    path.write_bytes(_rewritten(io.BytesIO(path.read_bytes()), lambda _: False, {f"extra/{name}": content.encode()}))


def _rewritten(archive: io.BytesIO, is_dropped: Callable[[str], bool], added: dict[str, bytes]) -> memoryview:
    """An archive without some of its records and with others."""
    archive.seek(0)
    rewritten = io.BytesIO()
    # This writer keeps the alignment that lets torch map the weights into memory.
    writer = torch._C.PyTorchFileWriter(rewritten)
    reader = torch._C.PyTorchFileReader(archive)
    for name in reader.get_all_records():
        if not is_dropped(name) and name not in ("version", ".data/serialization_id", "byteorder"):
            data = reader.get_record(name)
            writer.write_record(name, data, len(data))
    for name, data in added.items():
        writer.write_record(name, data, len(data))
    writer.write_end_of_file()
    return rewritten.getbuffer()


def exported(module: nn.Module, extras: dict[str, str]) -> torch.export.ExportedProgram:
    """``module`` by ``torch.export``, with those dimensions dynamic that are so in its signature."""
    dynamic: tuple[Any, ...] = tuple(
        {at: torch.export.Dim.DYNAMIC for at, dim in enumerate(spec.dims) if isinstance(dim, str)}
        for spec in parse_signature(extras["signature.json"]).inputs
    )
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in inspect.signature(module.forward).parameters.values()):
        dynamic = (dynamic,)
    return torch.export.export(module.eval(), example_inputs(extras), dynamic_shapes=dynamic)


def save_export(program: torch.export.ExportedProgram, path: Path, extras: dict[str, str]) -> None:
    """Saves a program of ``torch.export`` with its extra files."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files=extras)
    path.write_bytes(buffer.getbuffer())
