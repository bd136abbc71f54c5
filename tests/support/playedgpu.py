"""A stand-in for the part of a GPU that captures graphs: it really runs the captured function again, on the same tensors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import torch

from agent.engines.torch.capturing import FixedRun
from agent.engines.torch.device import TorchDevice
from agent.engines.torch.gpu import GpuProgram
from tests.support.torchmodels import MaskedSum, signature
from vaccel_common.modelfile import parse_signature

#: Seconds that a run takes beside its numbers: more than one of these small models takes with them.
LAUNCHES = 0.002


class PlayedCapturer:
    """A `agent.engines.torch.capturing.Capturer` on the CPU. ``fail`` is called with each capture, ``spoil`` with each replay's outputs."""

    def __init__(self, *, limit: int = 1 << 30) -> None:
        self.limit, self.memory = limit, 0
        self.fail: Callable[[], None] = lambda: None
        self.spoil: Callable[[list[torch.Tensor]], object] = lambda _: None
        self.replaying, self.replays, self.overlaps = threading.Lock(), 0, 0

    def host(self, dims: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Memory with what was there before."""
        return torch.full(tuple(dims), 77, dtype=dtype)

    def capture(self, run: FixedRun) -> tuple[Callable[[], None], list[torch.Tensor]]:
        """A replay writes into the outputs of the capture."""
        self.fail()
        self.memory += 1
        outputs = run()

        def replay() -> None:
            if not self.replaying.acquire(blocking=False):
                self.overlaps += 1
                return
            try:
                self.replays += 1
                for fixed, output in zip(outputs, run(), strict=True):
                    fixed.copy_(output)
                self.spoil(outputs)
            finally:
                self.replaying.release()

        return replay, outputs


class LaunchedModel:
    """ids, mask int64 [n, t] -> those of `MaskedSum`, and ids * mask float32 [n, t]. A run that is no replay takes `LAUNCHES`."""

    def __init__(self, capturer: PlayedCapturer, *, replays_are_slow: bool = False) -> None:
        self._capturer, self._slow = capturer, replays_are_slow
        compiled: Callable[[torch.nn.Module], Callable[..., torch.Tensor]] = torch.jit.script
        self._sums = compiled(MaskedSum())

    def __call__(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self._capturer.replaying.locked() == self._slow:
            time.sleep(LAUNCHES)
        return self._sums(ids, mask), (ids * mask).float()


def program(capturer: PlayedCapturer | None, *, replays_are_slow: bool = False, max_length: int = 24) -> GpuProgram:
    """A `LaunchedModel`, not warmed up; without a capturer the same on a device without graphs."""
    model = LaunchedModel(capturer or PlayedCapturer(), replays_are_slow=replays_are_slow)
    text = signature(
        "launched",
        inputs=[("ids", "int64", ["n", "t"]), ("mask", "int64", ["n", "t"])],
        outputs=[("sums", "float32", ["n", 2]), ("tokens", "float32", ["n", "t"])],
        batch="n",
        length="t",
    ).replace('"max_length": 64', f'"max_length": {max_length}')
    return GpuProgram(model, parse_signature(text), TorchDevice("cpu", 1), capturer=(lambda: capturer) if capturer else None)
