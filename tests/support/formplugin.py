"""An engine of files that say how quick and how right they are, for ``--plugin``: a ``.form`` file is a zip. No torch."""

from __future__ import annotations

import json
import time
import weakref
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from agent.engines.contract import Batch
from agent.engines.cost import UNKNOWN
from vaccel_common.modelfile import Signature, TensorSpec
from vaccel_rpc.errors import Internal, InvalidArgument
from vaccel_rpc.tensors import Tensor, from_values, to_values

SUFFIXES = (".form",)


def write(path: Path, of: str | None = None, precision: str = "float32", **behaviour: object) -> Path:
    """A file: a variant ``of`` the model with that sha256, where it is given; ``behaviour``: see `Sums`."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("behaviour.json", json.dumps(behaviour))
        if of:
            archive.writestr("variant.json", json.dumps({"of": of, "precision": precision, "agreement": 1, "texts": 9}))
    return path


class Sums:
    """ids int64 [n, t] -> their sums, float32 [n]; ``alive``: how many are in memory, ``most``: how many were at a time.

    ``ms``: the time of a batch. ``off``: what is added to each sum. ``fails``: when (load, run). ``output``: its name.
    In a file, ``refers`` names files beside it, whose numbers are added to each sum.
    """

    cost = UNKNOWN
    alive: ClassVar[weakref.WeakSet[Sums]] = weakref.WeakSet()
    most: ClassVar[int] = 0

    def __init__(
        self, ms: float = 1.0, off: float = 0.0, fails: str = "", *, joinable: bool = True, signed: bool = True, output: str = "y"
    ) -> None:
        ids, sums = TensorSpec("ids", "int64", ("n", "t")), TensorSpec(output, "float32", ("n",))
        self.signature = Signature("sums", "regression", 512, (ids,), (sums,), "n", "t") if signed else None
        self.joinable = joinable
        self._ms, self._off, self._fails = ms, off, fails
        if fails == "load":
            raise InvalidArgument("this form cannot be loaded")
        self._cycle = self  # as in torch.export's modules
        Sums.alive.add(self)
        Sums.most = max(Sums.most, len(Sums.alive))

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:  # noqa: ARG002 as every program's
        if self._fails == "run":
            raise Internal("this form cannot run")
        began = time.monotonic()
        time.sleep(self._ms / 1000)
        return Batch([[self._sums(ids)] for (ids,) in requests], began, time.monotonic())

    def _sums(self, ids: Tensor) -> Tensor:
        rows, length = ids.dims
        values = to_values(ids)
        return from_values("float32", (rows,), [sum(values[i * length : (i + 1) * length]) + self._off for i in range(rows)])


def _behaviour(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            behaviour: dict[str, Any] = json.loads(archive.read("behaviour.json"))
    except zipfile.BadZipFile as error:
        raise InvalidArgument(f"no form: {error}") from None
    return behaviour


class FormEngine:
    """The engine: a core for each batch."""

    precisions = ("int8", "bf16")

    def __init__(self, threads: int) -> None:
        self.workers = threads

    def load(self, path: Path) -> Sums:
        behaviour = _behaviour(path)
        off = sum(float((path.parent / name).read_text()) for name in behaviour.pop("refers", ()))
        return Sums(**{**behaviour, "off": behaviour.get("off", 0) + off})

    def external_files(self, path: Path) -> Sequence[str]:
        names: list[str] = _behaviour(path).get("refers", [])
        if any(name.startswith(("/", "..")) for name in names):
            raise InvalidArgument("the form refers to a place outside of its folder")
        return names

    def check_upload(self, path: Path) -> None:
        if _behaviour(path).get("fails") == "upload":
            raise InvalidArgument("this form may not be sent")

    def __str__(self) -> str:
        return "cpu"


def open(device: str, threads: int) -> FormEngine:  # noqa: A001, ARG001 the contract's names
    return FormEngine(threads)
