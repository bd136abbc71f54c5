"""Loads TorchScript and torch.export programs; joins and pads requests, runs, splits. The only module that imports torch."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from agent.batching.batcher import Batch
from agent.batching.packing import UNKNOWN
from agent.engines.cost import Cost, Point, fit
from agent.engines.layout import Layout
from agent.engines.torch import halves
from vaccel_common.modelfile import ModelFileError, Signature, TensorSpec, program_kind, read_extras
from vaccel_rpc.errors import Internal, InvalidArgument, ResourceExhausted, RpcError, Unimplemented
from vaccel_rpc.tensorfields import LARGE
from vaccel_rpc.tensors import DTYPES, Tensor

_log = logging.getLogger("agent.engines.torch")

_TYPES = {name: getattr(torch, name) for name in DTYPES}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
#: Of the files that `load` reads.
SUFFIXES = (".pt", ".pt2")
#: The most by which a padded run may differ from an unpadded one; a variant's coarse numbers now and then round the other way.
_TOLERANCE, _TOLERANCES = 1e-3, {"int8": 0.2, "bf16": 0.1}
_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "bad_alloc")

Forward = Callable[..., Any]

#: Batches whose times a program's cost is learned from: rows, length. The first ones always, the others while it is quick.
_TRIED, _ALWAYS, _LONG_S = ((1, 8), (8, 8), (1, 32), (8, 32), (1, 128), (8, 128)), 5, 0.25
_SHORT = ((1, 4), (8, 4), (1, 8), (8, 8), (1, 16), (8, 16))
#: Of these the quicker of two forms of a model is told.
_TYPICAL, _TIMES = ((1, 16), (4, 16)), 5


class Device:
    """Where models run. ``name``: auto, cpu, cuda or cuda:N; ``threads``: cores to use on a CPU."""

    def __init__(self, name: str, threads: int) -> None:
        wanted = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
        self.device = torch.device(wanted)
        self.threads = threads
        # One context for each worker thread: torch keeps the number of threads for each thread that calls it.
        self._now = threading.local()
        torch.zeros(1, device=self.device)

    @property
    def is_cpu(self) -> bool:
        """Whether models run on the CPU."""
        return self.device.type == "cpu"

    @property
    def precisions(self) -> frozenset[str]:
        """Those of variants that this machine computes faster than float32, and right: int8 without VNNI can overflow."""
        has = torch.cpu.get_capabilities() if self.is_cpu else {}
        able = {"int8": has.get("avx512_vnni"), "bf16": has.get("avx512_bf16") or has.get("amx_bf16")}
        return frozenset(precision for precision, there in able.items() if there)

    def use_threads(self, count: int) -> None:
        """Lets this thread's next runs use ``count`` cores."""
        if self.is_cpu and getattr(self._now, "threads", None) != count:
            torch.set_num_threads(count)
            self._now.threads = count


class TorchProgram:
    """A model in memory. ``joinable``: its signature says so, and padding changed its answers by ``tolerance`` at most.

    ``cost``: of its batches on one thread, learned by `warm_up`.
    """

    def __init__(self, forward: Forward, signature: Signature | None, device: Device, tolerance: float = _TOLERANCE) -> None:
        self._forward, self._device, self._tolerance = forward, device, tolerance
        self.signature = signature
        self.cost = UNKNOWN
        self._layout = Layout(signature) if signature else None
        self.joinable = bool(self._layout and self._layout.joinable)

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:
        """Each request's outputs. Raises `Internal` with torch's reason, `ResourceExhausted` where memory is out."""
        try:
            return self._run(requests, alone=alone)
        except RpcError:
            raise
        except Exception as error:  # noqa: BLE001 a model may raise anything
            no_memory, said = _is_memory(error), _last_line(error)
        # Out here nothing holds the failed run's tensors any more, as the error's frames do: there is room for the next try.
        if not no_memory:
            raise Internal(f"torch: {said}", errno=errno.EINVAL)
        if not self._device.is_cpu:
            torch.cuda.empty_cache()
        raise ResourceExhausted(f"the run needs more memory than there is: {said}", errno=errno.ENOMEM, reason="memory")

    def _run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:
        self._device.use_threads(self._device.threads if alone else 1)
        inputs = [[_to_torch(tensor) for tensor in request] for request in requests]
        layout = self._layout
        joined = len(inputs) > 1 and layout is not None
        ready = [self._join(layout, i, [r[i] for r in inputs]) for i in range(len(inputs[0]))] if layout and joined else None
        began = time.monotonic()
        outputs = [self._call(ready)] if ready else [self._call(request) for request in inputs]
        ended = time.monotonic()
        split = layout.split(outputs[0], [layout.shape(request) for request in requests]) if layout and ready else outputs
        return Batch([[_from_torch(part) for part in parts] for parts in split], began, ended)

    def warm_up(self) -> None:
        """Runs once alone and once padded; where the two differ, requests are not joined, else their cost is learned."""
        if self._layout is None:
            return
        try:
            if self.joinable:
                self._try_padding(self._layout)
            else:
                self.run([self._layout.example(7)], alone=False)
        except RpcError as error:
            self.joinable = False
            _log.warning("%s failed at warm-up, its requests are run alone: %s", self.name, error)
        if self.joinable:
            self._learn(self._layout)

    def _learn(self, layout: Layout) -> None:
        try:
            self.cost = self._learned(layout)
            _log.info("A batch of %s takes %s", self.name, self.cost)
        except RpcError as error:
            _log.warning("What a batch of %s costs cannot be told, so they have --max-batch rows: %s", self.name, error)

    def seconds(self, rows: int, length: int, *, alone: bool = False) -> float:
        """How long a batch takes."""
        example = self._layout.example(length, rows) if self._layout else []
        began = time.perf_counter()
        self.run([example], alone=alone)
        return time.perf_counter() - began

    def differs(self, other: TorchProgram) -> float:
        """The most by which their answers to an example differ."""
        examples = [self._layout.example(16, 2)] if self._layout else []
        return _difference(*(program.run(examples, alone=False).outputs[0] for program in (self, other)))

    def _try_padding(self, layout: Layout) -> None:
        short, long = (layout.example(length) for length in (7, 16))
        alone, joined = self.run([short], alone=False).outputs[0], self.run([short, long], alone=False).outputs[0]
        worst = _difference(alone, joined)
        if not worst <= self._tolerance:
            self.joinable = False
            _log.warning("Padding changes the answers of %s by %.2g: its requests are run alone", self.name, worst)

    def _learned(self, layout: Layout) -> Cost:
        points: list[Point] = []
        began = time.perf_counter()
        # A model that does not say how long its inputs may be is not asked for more than padding was tried with.
        known = layout.signature.max_length or layout.signature.length is None
        for rows, wanted in _TRIED if known else _SHORT:
            if len(points) >= _ALWAYS and time.perf_counter() - began > _LONG_S:
                break
            length = max(1, layout.shape(layout.example(wanted, rows)).length)
            # Of two runs the quicker: the first of a new shape may prepare something.
            points.append((rows, length, min(self.seconds(rows, wanted) for _ in range(2))))
        return fit(points)

    @property
    def name(self) -> str:
        """As its signature says."""
        return self.signature.name if self.signature else "model"

    def _join(self, layout: Layout, index: int, parts: list[torch.Tensor]) -> torch.Tensor:
        spec: TensorSpec = layout.signature.inputs[index]
        batch, length = layout.input_dims[index]
        if length is None:
            return torch.cat(parts, batch)
        rows, longest = sum(part.shape[batch] for part in parts), max(part.shape[length] for part in parts)
        dims = list(parts[0].shape)
        dims[batch], dims[length] = rows, longest
        joined = torch.full(dims, spec.pad, dtype=parts[0].dtype)
        at = 0
        for part in parts:
            joined.narrow(batch, at, part.shape[batch]).narrow(length, 0, part.shape[length]).copy_(part)
            at += part.shape[batch]
        return joined

    def _call(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        with torch.inference_mode():
            outputs = self._forward(*(tensor.to(self._device.device) for tensor in inputs))
            return [tensor.cpu() for tensor in _flat(outputs)]


def load(path: Path, device: Device) -> TorchProgram:
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
        if _is_memory(error):
            raise ResourceExhausted(f"not enough memory to load the model: {_last_line(error)}") from None
        raise InvalidArgument(f"torch cannot load the model: {_last_line(error)}".replace(str(path), "the file")) from None
    tolerance = _TOLERANCES.get(extras.variant.precision if extras.variant else "", _TOLERANCE)
    program = _quicker([TorchProgram(form, signature, device, tolerance) for form in forms])
    program.warm_up()
    return program


def _quicker(programs: list[TorchProgram]) -> TorchProgram:
    """The first, or, where both give the same answers, the quicker."""
    if len(programs) == 1:
        return programs[0]
    plain, quick = programs
    try:
        if not quick.differs(plain) <= _TOLERANCE:
            return plain
        # In turns, and the best of some: what else runs on the machine slows both.
        times = [[program.seconds(*shape) for shape in _TYPICAL] for _ in range(_TIMES) for program in programs]
    except RpcError:
        return plain
    slow, fast = (sum(map(min, zip(*times[which::2], strict=True))) for which in range(2))
    if fast < slow:
        _log.info("The linear layers of %s are FBGEMM's: the model takes %.2f of the time", quick.name, fast / slow)
    return quick if fast < slow else plain


def _load_script(path: Path, device: Device, signature: Signature | None) -> list[Forward]:
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
        _log.info("The model is run as it is, not frozen: %s", _last_line(error))
        return [module]
    quick = torch.jit.freeze(module) if device.is_cpu else None
    return [plain, quick] if quick is not None and halves.rewrite_script(quick) else [plain]


def _load_export(path: Path, device: Device, signature: Signature | None) -> list[Forward]:
    program: Any = torch.export.load(str(path))
    plain = program.module()
    if signature is None or not device.is_cpu:
        return [plain.to(device.device)]
    quick = program.module()
    return [plain, quick] if halves.rewrite_export(quick) else [plain]


def _to_torch(tensor: Tensor) -> torch.Tensor:
    dtype, data = _TYPES[tensor.dtype], tensor.data
    if not len(data):
        return torch.empty(tensor.dims, dtype=dtype)
    # frombuffer wants memory it may write to, and a kernel numbers where they may lie: else a copy, as of small tensors anyway.
    if isinstance(data, memoryview) and not data.readonly:
        raw = torch.frombuffer(data, dtype=torch.uint8)
        if raw.data_ptr() % dtype.itemsize == 0:
            return raw.view(dtype).reshape(tensor.dims)
    return torch.frombuffer(bytearray(data), dtype=dtype).reshape(tensor.dims)


def _from_torch(tensor: torch.Tensor) -> Tensor:
    name = _NAMES.get(tensor.dtype)
    if name is None:
        raise Unimplemented(f"an output is {str(tensor.dtype).removeprefix('torch.')}; vAccel has only {', '.join(DTYPES)}")
    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8) if tensor.dim() else tensor.reshape(1).view(torch.uint8)
    raw: Any = flat.numpy()
    return Tensor(name, tuple(tensor.shape), memoryview(raw) if raw.nbytes >= LARGE else raw.tobytes())


def _flat(outputs: Any) -> list[torch.Tensor]:
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    if isinstance(outputs, list | tuple):
        return [tensor for output in outputs for tensor in _flat(output)]
    raise Unimplemented(f"an output is {type(outputs).__name__}; only tensors, and lists, tuples and dicts of them, can travel")


def _difference(ones: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """The most by which any of the outputs differ."""
    return max(_distance(one, other) for one, other in zip(ones, others, strict=True))


def _distance(one: Tensor, other: Tensor) -> float:
    if one.dims != other.dims:
        return float("inf")
    a, b = _to_torch(one).double(), _to_torch(other).double()
    return float((a - b).abs().max()) if a.numel() else 0.0


def _is_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(sign in str(error) for sign in _MEMORY)


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:500] if lines else type(error).__name__
