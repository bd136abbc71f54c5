"""Loads TorchScript and torch.export files.

On a CPU a model may have two forms, the plain one and one with fp16 linear layers; the faster one
is kept.
"""

from __future__ import annotations

import logging
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import torch

from agent.engines.measured import tolerance
from agent.engines.torch import archive, fp16_linear, halved
from agent.engines.torch.cuda import CudaCapturer
from agent.engines.torch.device import TorchDevice
from agent.engines.torch.exceptions import is_memory, last_line
from agent.engines.torch.gpu import GpuProgram
from agent.engines.torch.moved import move_export, move_script
from agent.engines.torch.program import Forward, TorchProgram
from vaccel_common.modelfile import ModelFileError, Signature, program_kind, read_extras
from vaccel_rpc.errors import InvalidArgument, ResourceExhausted, RpcError

_log = logging.getLogger("agent.engines.torch")

#: Rows and length of the batches by which two forms are compared, and how often each is timed.
_TYPICAL, _TIMES = ((1, 16), (4, 16)), 5


def check_upload(path: Path) -> None:
    """Raises `InvalidArgument` unless the file is TorchScript, or torch.export without a pickle."""
    match program_kind(path):
        case "export":
            _checked_export(path)
        case "torchscript":
            return
        case _:
            raise InvalidArgument(
                "the bytes are not a model: TorchScript (torch.jit.save), torch.export (.pt2) or a whole ONNX file is expected"
            )


def load(path: Path, device: TorchDevice, precision: str | None = None) -> TorchProgram:
    """Loads and warms up a model file. ``precision``: a half one, in which it computes what it can.

    Raises `InvalidArgument` with the reason where it is not a model, `DeviceLost`.
    """
    # OpenMP keeps a team of threads for each thread that has used several, and lets all of them
    # sleep at every barrier once there are more than cores: a team left over from loading would
    # cost each lone run a third of its time.
    device.use_threads(1)
    try:
        extras = read_extras(path)
        signature = extras.signature
        kind = program_kind(path)
        forms = _load_export(path, device, signature) if kind == "export" else _load_script(path, device, signature)
        if precision:
            forms = [_halved(forms[0], kind == "export", precision)]
    except ModelFileError as error:
        raise InvalidArgument(str(error).replace(str(path), "the file")) from None
    except RpcError:
        raise
    except Exception as error:  # noqa: BLE001 torch raises many kinds for a damaged file
        if is_memory(error):
            raise ResourceExhausted(f"not enough memory to load the model: {last_line(error)}") from None
        if lost := device.loss(error):
            raise lost from None
        raise InvalidArgument(f"torch cannot load the model: {last_line(error)}".replace(str(path), "the file")) from None
    program = _faster([_program(form, signature, device, tolerance(extras.variant, precision)) for form in forms])
    program.warm_up()
    return program


def _halved(form: Any, is_export: bool, precision: str) -> Forward:
    rewrite = halved.rewrite_export if is_export else halved.rewrite_script
    # A module that is not frozen has no constant weights.
    if not rewrite(form, halved.HALVES[precision]):
        raise InvalidArgument("it has no linear layers whose float32 weights are constant")
    return form  # type: ignore[no-any-return]


def _program(forward: Forward, signature: Signature | None, device: TorchDevice, most: float) -> TorchProgram:
    if device.is_cpu:
        return TorchProgram(forward, signature, device, most)
    return GpuProgram(forward, signature, device, most, partial(CudaCapturer, device.device) if device.has_graphs else None)


def _faster(programs: list[TorchProgram]) -> TorchProgram:
    """The faster of the two forms where both give the same answers, else the first."""
    if len(programs) == 1:
        return programs[0]
    plain, packed = programs
    try:
        # Negated, so that NaN counts as a difference.
        if not packed.differs(plain.answers()) <= plain.same:
            return plain
        # Alternately, and the best of several: other load on the machine slows both.
        times = [[program.seconds(*shape) for shape in _TYPICAL] for _ in range(_TIMES) for program in programs]
    except RpcError:
        return plain
    plain_seconds, packed_seconds = (sum(map(min, zip(*times[form::2], strict=True))) for form in range(2))
    if packed_seconds < plain_seconds:
        ratio = packed_seconds / plain_seconds
        _log.info("The linear layers of %s are FBGEMM's: the model takes %.2f of the time", packed.name, ratio)
        return packed
    return plain


def _load_script(path: Path, device: TorchDevice, signature: Signature | None) -> list[Forward]:
    """The plain form, and on a CPU the one with fp16 linear layers if the signature allows it."""
    module: Any = torch.jit.load(str(path), map_location="cpu")
    module = module.eval()
    if signature is None:
        return [module if device.is_cpu else module.to(device.device)]
    # Weights may be stored in half precision to save space; with a signature, the model computes in
    # the precision that the signature states.
    if any(spec.dtype == "float32" for spec in signature.outputs):
        module = module.float()
    try:
        plain = torch.jit.freeze(module)
    except RuntimeError as error:
        _log.info("The model runs as it is, not frozen: %s", last_line(error))
        return [module if device.is_cpu else module.to(device.device)]
    if not device.is_cpu:
        move_script(plain, device.device)
    packed = torch.jit.freeze(module) if device.is_cpu else None
    return [plain, packed] if packed is not None and fp16_linear.rewrite_script(packed) else [plain]


def _load_export(path: Path, device: TorchDevice, signature: Signature | None) -> list[Forward]:
    _checked_export(path)
    with path.open("rb") as file:  # an upload's name has no suffix, by which torch would know it
        program: Any = torch.export.load(file)
    if not device.is_cpu:
        program = move_export(program, device.device)
    # Guards would be compiled from the file's text, and run with each batch; the agent checks inputs
    # by the signature, and torch the dimensions that were exported as fixed.
    plain = program.module(check_guards=False)
    if signature is None or not device.is_cpu:
        return [plain]
    packed = program.module(check_guards=False)
    return [plain, packed] if fp16_linear.rewrite_export(packed) else [plain]


def _checked_export(path: Path) -> None:
    try:
        archive.check(path)
    except (RuntimeError, zipfile.BadZipFile, KeyError, TypeError, AttributeError) as error:
        raise InvalidArgument(f"the file is a damaged .pt2: {last_line(error)}".replace(str(path), "the file")) from None
