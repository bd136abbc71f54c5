"""A second engine, for ``--plugin``: a ``.toy`` file holds a number, and its program multiplies int64 by it. No torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from agent.engines.contract import Batch, DeviceError
from agent.engines.cost import UNKNOWN
from vaccel_common.modelfile import Signature, TensorSpec
from vaccel_rpc.errors import InvalidArgument
from vaccel_rpc.tensors import Tensor, from_values, to_values

SUFFIXES = (".toy",)


class Multiplies:
    """int64 [n] -> int64 [n]; requests are joined."""

    joinable = True
    cost = UNKNOWN

    def __init__(self, name: str, factor: int) -> None:
        x, y = TensorSpec("x", "int64", ("n",)), TensorSpec("y", "int64", ("n",))
        self.signature: Signature | None = Signature(name, "regression", None, (x,), (y,), "n", None)
        self._factor = factor

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:  # noqa: ARG002 as every program's
        began = time.monotonic()
        outputs = [[from_values("int64", x.dims, [self._factor * int(value) for value in to_values(x)])] for (x,) in requests]
        return Batch(outputs, began, time.monotonic())


class ToyEngine:
    """The engine: a core for each batch."""

    precisions = ()

    def __init__(self, threads: int) -> None:
        self.workers = threads

    def load(self, path: Path) -> Multiplies:
        try:
            return Multiplies(path.stem, int(path.read_text()))
        except ValueError as error:
            raise InvalidArgument(f"no number: {error}") from None

    def check_upload(self, path: Path) -> None:
        raise InvalidArgument(f"{path}: toys come from the store")

    def __str__(self) -> str:
        return "cpu"


def open(device: str, threads: int) -> ToyEngine:  # noqa: A001 the contract's name
    if device not in ("auto", "cpu"):
        raise DeviceError("toys run on a CPU")
    return ToyEngine(threads)
