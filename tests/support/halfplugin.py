"""An engine that offers half precisions, for ``--plugin``: a ``.half`` file says how each computes. No torch."""

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

SUFFIXES = (".half",)
HALVES = ("fp16", "bf16")


def write(path: Path, **behaviours: dict[str, object]) -> Path:
    """A file; by precision (``float32`` and those of `HALVES`) what `Scores` takes, or ``refuses``. One that is missing is refused."""
    path.write_text(json.dumps(behaviours))
    return path


class Scores:
    """ids int64 [n, t] -> logits float32 [n, 2]: the share of ones, plus ``off``, and 0. ``ms``: the time of a batch."""

    cost = UNKNOWN

    def __init__(self, ms: float = 1.0, off: float = 0.0, *, rows: bool = True) -> None:
        logits = TensorSpec("logits", "float32", ("n", 2) if rows else ("n",))
        ids = TensorSpec("ids", "int64", ("n", "t"))
        self.signature = Signature("scores", "single_label_classification", 512, (ids,), (logits,), "n", "t")
        self.joinable, self._ms, self._off, self._rows = True, ms, off, rows

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:  # noqa: ARG002 as every program's
        began = time.monotonic()
        time.sleep(self._ms / 1000)
        return Batch([[self._logits(ids)] for (ids,) in requests], began, time.monotonic())

    def _logits(self, ids: Tensor) -> Tensor:
        rows, length = ids.dims
        values = to_values(ids)
        shares = [values[i * length : (i + 1) * length].count(1) / length + self._off for i in range(rows)]
        if not self._rows:
            return from_values("float32", (rows,), shares)
        return from_values("float32", (rows, 2), [value for share in shares for value in (share - 0.4, 0.0)])


class HalfEngine:
    """The engine: a core for each batch."""

    precisions = ()
    halves = HALVES

    def __init__(self, threads: int) -> None:
        self.workers = threads

    def load(self, path: Path) -> Scores:
        return self.load_in(path, "float32")

    def load_in(self, path: Path, precision: str) -> Scores:
        behaviour = json.loads(path.read_text()).get(precision)
        if behaviour is None:
            raise InvalidArgument("it has nothing to compute so")
        return Scores(**behaviour)

    def check_upload(self, path: Path) -> None:
        """Every file is safe."""

    def __str__(self) -> str:
        return "cpu"


def open(device: str, threads: int) -> HalfEngine:  # noqa: A001, ARG001 the contract's names
    return HalfEngine(threads)
