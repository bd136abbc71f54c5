"""A model on a GPU: one run at a time, and by graphs where these are quicker."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import torch

from agent.engines.arrays import difference
from agent.engines.buckets import BatchShape
from agent.engines.contract import Batch, DeviceLost
from agent.engines.cost import UNKNOWN, stepped
from agent.engines.layout import Layout
from agent.engines.measured import TOLERANCE
from agent.engines.torch.capturing import Capturer
from agent.engines.torch.device import TorchDevice
from agent.engines.torch.exceptions import first_reason
from agent.engines.torch.graphs import GraphSet, buckets_of
from agent.engines.torch.program import Forward, TorchProgram
from vaccel_common.modelfile import Signature
from vaccel_rpc.tensors import Tensor

_log = logging.getLogger("agent.engines.torch")

#: A graph takes at most this share of the time, so that noise changes nothing; the best of some runs.
_MARGIN, _RUNS = 0.95, 5
#: The length of the shortest example: not every model takes a single token.
_SHORT = 7
#: No more graphs are captured once there are so many, so many seconds have passed, or so many in a
#: row were no quicker: larger batches gain less.
_MAX_GRAPHS, _SECONDS, _SLOWER = 64, 20.0, 3
_MIB = 1 << 20


class GpuProgram(TorchProgram):
    """A model in a GPU's memory; see `MeasuredProgram`. ``capturer`` None: the device has no graphs."""

    def __init__(
        self,
        forward: Forward,
        signature: Signature | None,
        device: TorchDevice,
        tolerance: float = TOLERANCE,
        capturer: Callable[[], Capturer] | None = None,
    ) -> None:
        super().__init__(forward, signature, device, tolerance)
        self._capturer = capturer
        self._graphs: GraphSet | None = None

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:
        """See `TorchProgram.run`."""
        # Graphs of one program share memory, and while one is captured nothing else may use the
        # device.
        with self._device.lock:
            return super().run(requests, alone=alone)

    def _call(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        outputs = self._graphs.run(inputs) if self._graphs else None
        return super()._call(inputs) if outputs is None else outputs

    def _measure(self, layout: Layout) -> None:
        self._graphs = self._captured(layout)
        super()._measure(layout)
        if self._graphs and self.cost is not UNKNOWN:
            self.cost = stepped(self.cost, self._graphs.used)

    def _ran(self, rows: int, length: int) -> BatchShape:
        return self._graphs.used.shape(rows, length) if self._graphs else (rows, length)

    def _captured(self, layout: Layout) -> GraphSet | None:
        """Captures graphs; where one cannot be captured, or answers otherwise, there are none. Raises `DeviceLost`."""
        if self._capturer is None:
            return None
        graphs: GraphSet | None = None
        lost: DeviceLost | None = None
        try:
            graphs, reason = self._quicker(layout, self._capturer())
        except Exception as error:  # noqa: BLE001 a model may raise anything, and so may the device
            lost = error if isinstance(error, DeviceLost) else self._device.loss(error)
            reason = first_reason(error)
        if lost:
            raise lost
        if not graphs:
            _log.info("%s runs without graphs: %s", self.name, reason)
        return graphs

    def _quicker(self, layout: Layout, capturer: Capturer) -> tuple[GraphSet | None, str]:
        """The graphs that are quicker; None, and why, where there are none."""
        buckets = buckets_of(layout.signature)
        if buckets is None:
            return None, "its inputs have dimensions beside rows and length"
        graphs, slower, end = GraphSet(layout, buckets), 0, time.monotonic() + _SECONDS
        shares: list[float] = []
        for shape in buckets:
            if len(shares) == _MAX_GRAPHS or slower == _SLOWER or time.monotonic() > end or capturer.memory > capturer.limit:
                break
            with self._device.lock:
                graphs.capture(shape, self._forward, capturer, self._device.device)
            rows, length = buckets.least(shape)
            least = layout.example(max(length, min(_SHORT, shape[1])), rows)
            # A run of the same shape takes the same kernels.
            for example, most in ((layout.example(shape[1], shape[0]), self.same), (least, self._tolerance)):
                worst = difference(self._outputs(None, example), self._outputs(graphs, example))
                # Negated, so that NaN counts as a difference.
                if not worst <= most:
                    return None, f"that of {shape[0]} rows of {shape[1]} tokens changes its answers by {worst:.2g}"
            share = self._share(graphs, least)
            if share < _MARGIN:
                shares.append(share)
                slower = 0
            else:
                del graphs.graphs[shape]
                slower += 1
        if not shares:
            return None, "they are no quicker"
        _log.info(
            "%s runs %d shapes of batches as graphs, in %.2f to %.2f of the time; they hold %.0f MiB",
            self.name, len(shares), min(shares), max(shares), capturer.memory / _MIB,
        )  # fmt: skip
        return graphs, ""

    def _outputs(self, graphs: GraphSet | None, request: Sequence[Tensor]) -> list[Tensor]:
        self._graphs = graphs
        return self.run([request], alone=False).outputs[0]

    def _share(self, graphs: GraphSet, request: Sequence[Tensor]) -> float:
        """The time with graphs as a share of that without, for the smallest batch of a bucket, whose padding is the longest."""
        best = [float("inf")] * 2
        for _ in range(_RUNS):
            for i, kind in enumerate((None, graphs)):
                began = time.perf_counter()
                self._outputs(kind, request)
                best[i] = min(best[i], time.perf_counter() - began)
        return best[1] / best[0]
