"""An engine for ``--plugin`` that only takes time: a ``.sleep`` file says how much. No torch.

The file is JSON: ``{"seconds": of each batch, "per_token": more for each token}``. The program doubles int64 and adds nothing else,
so that a client knows the right answer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from agent.engines.contract import Batch
from agent.engines.cost import UNKNOWN
from vaccel_common.modelfile import Signature, TensorSpec
from vaccel_rpc.errors import InvalidArgument
from vaccel_rpc.tensors import Tensor, from_values, to_values

SUFFIXES = (".sleep",)


class Sleeps:
    """int64 [n] -> int64 [n], each number doubled; requests run one by one."""

    joinable = False
    cost = UNKNOWN

    def __init__(self, name: str, seconds: float, per_token: float) -> None:
        x, y = TensorSpec("x", "int64", ("n",)), TensorSpec("y", "int64", ("n",))
        self.signature: Signature | None = Signature(name, "regression", None, (x,), (y,), None, None)
        self._seconds, self._per_token = seconds, per_token

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:  # noqa: ARG002 as every program's
        began = time.monotonic()
        outputs = []
        for (x,) in requests:
            values = to_values(x)
            time.sleep(self._seconds + self._per_token * len(values))
            outputs.append([from_values("int64", x.dims, [2 * int(value) for value in values])])
        return Batch(outputs, began, time.monotonic())


class SleepEngine:
    """The engine: two batches at a time."""

    precisions = ()
    workers = 2

    def load(self, path: Path) -> Sleeps:
        settings = json.loads(path.read_text())
        return Sleeps(path.stem, settings.get("seconds", 0.0), settings.get("per_token", 0.0))

    def check_upload(self, path: Path) -> None:
        raise InvalidArgument(f"{path}: sleepers come from the store")

    def __str__(self) -> str:
        return "cpu"


def open(device: str, threads: int) -> SleepEngine:  # noqa: A001, ARG001 the contract's name and arguments
    return SleepEngine()
