"""An engine for ``--plugin`` that sleeps and then answers by its tokens; no torch.

It stands for the model, so that several agents need no core each. A file, which the variable
``CHAOS_MOOD`` names, makes a running agent slow or hung.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.engines.contract import Batch
from agent.engines.cost import UNKNOWN
from vaccel_common.modelfile import Signature, TensorSpec
from vaccel_rpc.errors import InvalidArgument
from vaccel_rpc.tensors import Tensor, from_values, to_values

SUFFIXES = (".nap",)
#: The variable with the path of the agent's mood, a JSON file: ``factor`` of its time, ``hung``.
MOOD = "CHAOS_MOOD"
#: Seconds of a run, and more for each token.
RUN_S, TOKEN_S = 0.008, 0.0002
_HUNG_LOOK_S = 0.05
_DIMS = ("n", "t")


def mood() -> dict[str, Any]:
    """The agent's mood now; empty where nothing was said."""
    path = os.environ.get(MOOD)
    try:
        found: dict[str, Any] = json.loads(Path(path).read_text()) if path else {}
    except (OSError, ValueError):
        return {}
    return found


class Naps:
    """Token ids and their mask, int64 [n, t] -> logits, float32 [n, 3], by a checksum of the ids."""

    joinable = False
    cost = UNKNOWN

    def __init__(self, name: str) -> None:
        inputs = TensorSpec("input_ids", "int64", _DIMS), TensorSpec("attention_mask", "int64", _DIMS)
        logits = TensorSpec("logits", "float32", ("n", 3))
        self.signature: Signature | None = Signature(name, "single_label_classification", 128, inputs, (logits,), "n", "t")

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:  # noqa: ARG002 as every program's
        """Each request's logits, after its time; a hung agent's come when it is hung no longer."""
        began = time.monotonic()
        outputs = []
        for ids, _ in requests:
            now = mood()
            while now.get("hung"):
                time.sleep(_HUNG_LOOK_S)
                now = mood()
            rows, length = ids.dims
            values = [int(value) for value in to_values(ids)]
            time.sleep(now.get("factor", 1) * (RUN_S + TOKEN_S * len(values)))
            logits = [logit for row in range(rows) for logit in _logits(values[row * length : (row + 1) * length])]
            outputs.append([from_values("float32", (rows, 3), logits)])
        return Batch(outputs, began, time.monotonic())


def _logits(ids: Sequence[int]) -> list[float]:
    digest = zlib.crc32(",".join(map(str, ids)).encode())
    return [(digest >> shift & 0x3FF) / 256 for shift in (0, 10, 20)]


class NapEngine:
    """The engine: two runs at a time."""

    precisions = ()
    workers = 2

    def load(self, path: Path) -> Naps:
        """The program; the file's content does not matter."""
        return Naps(path.stem)

    def check_upload(self, path: Path) -> None:
        """Refuses."""
        raise InvalidArgument(f"{path}: this model comes from the store")

    def __str__(self) -> str:
        return "cpu"


def open(device: str, threads: int) -> NapEngine:  # noqa: A001, ARG001 the contract's name and arguments
    """The engine; it has no device."""
    return NapEngine()
