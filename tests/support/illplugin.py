"""An engine for ``--plugin`` that falls ill: a ``.ill`` file says by which inputs. No torch.

The file is JSON: an input's first number -> ``hang``, ``assert`` (the run loses the device), ``lost`` (the device is lost), ``exit``
(``sys.exit``), or seconds to sleep; ``"load": "lost"`` loses the device at once, ``"load": "hang"`` never loads. The program
doubles int64.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.engines.contract import Batch, DeviceLost
from agent.engines.cost import UNKNOWN
from vaccel_common.modelfile import Signature, TensorSpec
from vaccel_rpc.errors import InvalidArgument
from vaccel_rpc.tensors import Tensor, from_values, to_values

SUFFIXES = (".ill",)


class FallsIll:
    """int64 [n] -> int64 [n], each number doubled; requests run one by one."""

    joinable = False
    cost = UNKNOWN

    def __init__(self, name: str, what: Mapping[str, str | float]) -> None:
        x, y = TensorSpec("x", "int64", ("n",)), TensorSpec("y", "int64", ("n",))
        self.signature: Signature | None = Signature(name, "regression", None, (x,), (y,), "n", None)
        self._what = what

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:  # noqa: ARG002 as every program's
        began = time.monotonic()
        outputs = []
        for (x,) in requests:
            values = [int(value) for value in to_values(x)]
            self._fall_ill(self._what.get(str(values[0])))
            outputs.append([from_values("int64", x.dims, [2 * value for value in values])])
        return Batch(outputs, began, time.monotonic())

    def _fall_ill(self, what: str | float | None) -> None:
        match what:
            case "hang":
                threading.Event().wait()
            case "assert":
                raise DeviceLost("CUDA error: device-side assert triggered")
            case "lost":
                raise DeviceLost("CUDA error: uncorrectable ECC error encountered", by_run=False)
            case "exit":
                raise SystemExit
            case float() | int():
                time.sleep(what)


class IllEngine:
    """The engine: two batches at a time."""

    precisions = ()
    workers = 2

    def load(self, path: Path) -> FallsIll:
        what = json.loads(path.read_text())
        match what.get("load"):
            case "lost":
                raise DeviceLost("CUDA error: uncorrectable ECC error encountered", by_run=False)
            case "hang":
                threading.Event().wait()
        return FallsIll(path.stem, what)

    def check_upload(self, path: Path) -> None:
        raise InvalidArgument(f"{path}: these models come from the store")

    def __str__(self) -> str:
        return "cpu"


def open(device: str, threads: int) -> IllEngine:  # noqa: A001, ARG001 the contract's name and arguments
    return IllEngine()
