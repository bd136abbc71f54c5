"""The engines of one agent by the suffixes of their files: those that ship, and plugins."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from agent.engines.contract import (
    UPLOAD_MEMORY,
    BoundsUploads,
    ComputesInHalves,
    DeviceError,
    Engine,
    EngineModule,
    HasOwnMemory,
    PreparesThreads,
    Program,
    RefersToFiles,
)
from vaccel_common import process
from vaccel_common.modelfile import program_kind
from vaccel_rpc.errors import Internal, PermissionDenied

#: The engines that ship, of which the first is the one for an upload that no other recognizes.
_SHIPPED = ("agent.engines.torch", "agent.engines.onnx")
#: The kinds of uploads, which have no suffix, that another engine than the first loads. They are
#: data, where the first engine's are programs.
_UPLOADS = {"onnx": ".onnx"}
_DATA_POLICY = "--uploads data"
_NEEDED = "signature, joinable, cost and run (agent/engines/contract.py)"


class EngineError(Exception):
    """An engine cannot be used, or has no such device; the message names it and says why."""


class Engines:
    """The engines that ship and the modules ``names``, imported by `open`.

    ``upload_memory``: see `agent.engines.contract.BoundsUploads`.
    """

    def __init__(self, names: Sequence[str] = (), *, upload_memory: int = UPLOAD_MEMORY) -> None:
        self._names = (*_SHIPPED, *names)
        self._upload_memory = upload_memory
        self._by_suffix: dict[str, Engine] = {}

    def open(self, device: str, threads: int) -> None:
        """Imports and opens the engines, which takes seconds. Raises `EngineError`."""
        for name in self._names:
            module = _imported(name)
            taken = [suffix for suffix in module.SUFFIXES if suffix in self._by_suffix]
            if taken:
                raise EngineError(f"the plugin {name} cannot be used: another plugin loads {', '.join(taken)}")
            try:
                engine = module.open(device, threads)
            except DeviceError as error:
                raise EngineError(f"--device {device}: {error}") from None
            self._by_suffix |= dict.fromkeys(module.SUFFIXES, engine)

    def prepare_thread(self) -> None:
        """See `agent.engines.contract.PreparesThreads`; for threads in which programs are loaded and run."""
        for engine in self._by_suffix.values():
            if isinstance(engine, PreparesThreads):
                engine.prepare_thread()

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Suffixes of all engines' files; those of the engines that ship come first."""
        return tuple(self._by_suffix)

    @property
    def workers(self) -> int:
        """Batches that may run at the same time: the most that any engine allows."""
        return max(engine.workers for engine in self._by_suffix.values())

    def computes(self, path: Path, precision: str) -> bool:
        """Whether the engine of a file computes that precision rightly here, and faster than float32.

        A file that runs on the CPU is no faster than a GPU, if the first engine has one.
        """
        engine, first = self._engine_of(path), next(iter(self._by_suffix.values()))
        slower = str(engine) == "cpu" and str(first) != "cpu"
        return precision in engine.precisions and not slower

    def __str__(self) -> str:
        return ", ".join(dict.fromkeys(map(str, self._by_suffix.values())))

    def check_upload(
        self, path: Path, others: Sequence[str] = (), given_up: threading.Event | None = None, *, is_data: bool = False
    ) -> None:
        """Raises `InvalidArgument` unless a client's file is a model that is safe to load.

        ``others``: the names of the files beside it that came with it, just those that it refers to.
        ``given_up``: see `agent.engines.contract.BoundsUploads.try_upload`. ``is_data``: raises `PermissionDenied` for one that is a program.
        """
        if is_data and program_kind(path) not in _UPLOADS:
            raise PermissionDenied(f"the bytes are not an ONNX file; no other models are accepted here ({_DATA_POLICY})")
        engine = self._engine_of(path)
        if isinstance(engine, BoundsUploads):
            engine.try_upload(path, others, self._upload_memory, given_up or threading.Event())
        else:
            engine.check_upload(path)

    def external_files(self, path: Path) -> Sequence[str]:
        """The names of the files in its folder that the model's file refers to.

        Raises `InvalidArgument` where it is damaged or refers to other places.
        """
        engine = self._engine_of(path)
        return engine.external_files(path) if isinstance(engine, RefersToFiles) else ()

    def memory_used(self, path: Path) -> int:
        """Bytes in use now where the model of a file is, or will be: on its engine's device, else by the process."""
        engine = self._engine_of(path)
        return engine.memory_used() if isinstance(engine, HasOwnMemory) else process.resident_memory()

    def load(self, path: Path) -> Program:
        """The program in a file, loaded by the engine of its suffix.

        Raises `InvalidArgument`, and `Internal` where the engine returned something else than a
        program.
        """
        return _checked(self._engine_of(path).load(path), path)

    def halves(self, path: Path) -> dict[str, Callable[[Path], Program]]:
        """By half precision that its engine offers, what loads a file to compute in it."""
        engine = self._engine_of(path)
        if not isinstance(engine, ComputesInHalves):
            return {}
        return {precision: partial(engine.load_in, precision=precision) for precision in engine.halves}

    def load_upload(self, path: Path, name: str) -> Program:
        """The same, of a file that a client sent: of one without a suffix the bytes tell. ``name``: the client's for the model."""
        engine = self._engine_of(path)
        if isinstance(engine, BoundsUploads):
            return _checked(engine.load_upload(path, self._upload_memory, name), path)
        return _checked(engine.load(path), path)

    def _engine_of(self, path: Path) -> Engine:
        suffix = path.suffix if path.suffix in self._by_suffix else _UPLOADS.get(program_kind(path) or "")
        return self._by_suffix[suffix] if suffix else next(iter(self._by_suffix.values()))


def _checked(program: Program, path: Path) -> Program:
    if not isinstance(program, Program):
        raise Internal(f"the plugin for {path.suffix} returned {type(program).__name__}: a program has {_NEEDED}")
    return program


def _imported(name: str) -> EngineModule:
    try:
        module: EngineModule = importlib.import_module(name)
        missing = [part for part in ("SUFFIXES", "open") if part not in dir(module)]
    except Exception as error:  # noqa: BLE001 a module may raise anything
        raise EngineError(f"the plugin {name} cannot be loaded: {type(error).__name__}: {error}") from None
    if missing:
        raise EngineError(f"the plugin {name} cannot be used: it has no {' and no '.join(missing)} (agent/engines/contract.py)")
    return module
