"""Loads TorchScript and torch.export files, in the quicker of the two forms that a model may have on a CPU."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from agent.engines.torch import fp16_linear
from agent.engines.torch.device import TorchDevice
from agent.engines.torch.exceptions import is_memory, last_line
from agent.engines.torch.program import TOLERANCE, Forward, TorchProgram
from vaccel_common.modelfile import ModelFileError, Signature, program_kind, read_extras
from vaccel_rpc.errors import InvalidArgument, ResourceExhausted, RpcError

_log = logging.getLogger("agent.engines.torch")

#: A variant's coarse numbers now and then round the other way where it is padded.
_TOLERANCES = {"int8": 0.2, "bf16": 0.1}
#: Of these the quicker of two forms of a model is told.
_TYPICAL, _TIMES = ((1, 16), (4, 16)), 5


def load(path: Path, device: TorchDevice) -> TorchProgram:
    """Loads and warms up a model file. Raises `InvalidArgument` with the reason where it is none."""
    # OpenMP keeps a team of threads for each thread that has used several, and lets all of them sleep at every barrier once there
    # are more than cores: a team left over from loading would cost each lone run a third of its time.
    device.use_threads(1)
    try:
        extras = read_extras(path)
        signature = extras.signature
        kind = program_kind(path)
        forms = _load_export(path, device, signature) if kind == "export" else _load_script(path, device, signature)
    except ModelFileError as error:
        raise InvalidArgument(str(error).replace(str(path), "the file")) from None
    except RpcError:
        raise
    except Exception as error:  # noqa: BLE001 torch raises many kinds for a damaged file
        if is_memory(error):
            raise ResourceExhausted(f"not enough memory to load the model: {last_line(error)}") from None
        raise InvalidArgument(f"torch cannot load the model: {last_line(error)}".replace(str(path), "the file")) from None
    tolerance = _TOLERANCES.get(extras.variant.precision if extras.variant else "", TOLERANCE)
    program = _quicker([TorchProgram(form, signature, device, tolerance) for form in forms])
    program.warm_up()
    return program


def _quicker(programs: list[TorchProgram]) -> TorchProgram:
    """The first, or, where both give the same answers, the quicker."""
    if len(programs) == 1:
        return programs[0]
    plain, quick = programs
    try:
        if not quick.differs(plain) <= TOLERANCE:
            return plain
        # In turns, and the best of some: what else runs on the machine slows both.
        times = [[program.seconds(*shape) for shape in _TYPICAL] for _ in range(_TIMES) for program in programs]
    except RpcError:
        return plain
    slow, fast = (sum(map(min, zip(*times[which::2], strict=True))) for which in range(2))
    if fast < slow:
        _log.info("The linear layers of %s are FBGEMM's: the model takes %.2f of the time", quick.name, fast / slow)
    return quick if fast < slow else plain


def _load_script(path: Path, device: TorchDevice, signature: Signature | None) -> list[Forward]:
    """The model's program, and, with a signature on a CPU, the same with quicker layers if it has any."""
    module: Any = torch.jit.load(str(path), map_location=device.device)
    module = module.eval()
    if signature is None:
        return [module]
    # Weights may be stored in half precision to save space; a model that comes with a signature computes in what that says.
    if device.is_cpu and any(spec.dtype == "float32" for spec in signature.outputs):
        module = module.float()
    try:
        plain = torch.jit.freeze(module)
    except RuntimeError as error:
        _log.info("The model is run as it is, not frozen: %s", last_line(error))
        return [module]
    quick = torch.jit.freeze(module) if device.is_cpu else None
    return [plain, quick] if quick is not None and fp16_linear.rewrite_script(quick) else [plain]


def _load_export(path: Path, device: TorchDevice, signature: Signature | None) -> list[Forward]:
    program: Any = torch.export.load(str(path))
    plain = program.module()
    if signature is None or not device.is_cpu:
        return [plain.to(device.device)]
    quick = program.module()
    return [plain, quick] if fp16_linear.rewrite_export(quick) else [plain]
