"""A model in memory: joins and pads requests, runs them, splits outputs, measures the cost."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from agent.engines import arrays
from agent.engines.contract import Batch
from agent.engines.cost import UNKNOWN, Cost, Point, fit
from agent.engines.layout import Layout
from agent.engines.torch.device import TorchDevice
from agent.engines.torch.exceptions import is_memory, last_line
from agent.engines.torch.tensors import difference, flat, from_torch, to_array, to_torch
from vaccel_common.modelfile import Signature
from vaccel_rpc.errors import Internal, ResourceExhausted, RpcError
from vaccel_rpc.tensors import Tensor

_log = logging.getLogger("agent.engines.torch")

#: The largest difference allowed between a padded and an unpadded run.
TOLERANCE = 1e-3

Forward = Callable[..., Any]

#: Rows and length of the batches by whose times a program's cost is fitted: the first _ALWAYS of
#: them, and the others until _LONG_S seconds have passed.
_SAMPLES, _ALWAYS, _LONG_S = ((1, 8), (8, 8), (1, 32), (8, 32), (1, 128), (8, 128)), 5, 0.25
#: The same for a model that does not state its maximum length.
_SHORT_SAMPLES = ((1, 4), (8, 4), (1, 8), (8, 8), (1, 16), (8, 16))


class TorchProgram:
    """A model in memory.

    ``joinable``: its signature allows it, and padding changed its answers by at most ``tolerance``.
    ``cost``: of its batches on one thread, measured by `warm_up`.
    """

    def __init__(self, forward: Forward, signature: Signature | None, device: TorchDevice, tolerance: float = TOLERANCE) -> None:
        self._forward, self._device, self._tolerance = forward, device, tolerance
        self.signature = signature
        self.cost = UNKNOWN
        self._layout = Layout(signature) if signature else None
        self.joinable = bool(self._layout and self._layout.joinable)

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:
        """Each request's outputs.

        Raises `Internal` with torch's reason, `ResourceExhausted` where memory ran out.
        """
        try:
            return self._run(requests, alone=alone)
        except RpcError:
            raise
        except Exception as error:  # noqa: BLE001 a model may raise anything
            no_memory, reason = is_memory(error), last_line(error)
        # Outside of the except block: the error's frames hold the tensors of the failed run, and a
        # retry needs their memory.
        if not no_memory:
            raise Internal(f"torch: {reason}", errno=errno.EINVAL)
        if not self._device.is_cpu:
            torch.cuda.empty_cache()
        raise ResourceExhausted(f"the run needs more memory than there is: {reason}", errno=errno.ENOMEM, reason="memory")

    def _run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:
        self._device.use_threads(self._device.threads if alone else 1)
        layout = self._layout
        if layout is None or len(requests) == 1:
            inputs = [[to_torch(tensor) for tensor in request] for request in requests]
            began = time.monotonic()
            outputs = [self._call(request) for request in inputs]
            ended = time.monotonic()
            return Batch([[from_torch(tensor) for tensor in tensors] for tensors in outputs], began, ended)
        joined = [torch.from_numpy(array) for array in arrays.join(layout, requests)]
        began = time.monotonic()
        results = self._call(joined)
        ended = time.monotonic()
        shapes = [layout.shape(request) for request in requests]
        return Batch(arrays.split(layout, [to_array(tensor) for tensor in results], shapes), began, ended)

    def warm_up(self) -> None:
        """Runs once alone and once padded.

        Where the two agree, measures the cost; else requests are not joined.
        """
        if self._layout is None:
            return
        try:
            if self.joinable:
                self._try_padding(self._layout)
            else:
                self.run([self._layout.example(7)], alone=False)
        except RpcError as error:
            self.joinable = False
            _log.warning("%s failed at warm-up, its requests run alone: %s", self.name, error)
        if self.joinable:
            self._measure(self._layout)

    def _measure(self, layout: Layout) -> None:
        try:
            self.cost = self._fitted_cost(layout)
            _log.info("A batch of %s takes %s", self.name, self.cost)
        except RpcError as error:
            _log.warning(
                "The cost of a batch of %s cannot be measured, so batches have up to --max-batch rows: %s", self.name, error
            )

    def seconds(self, rows: int, length: int, *, alone: bool = False) -> float:
        """The seconds that a batch takes."""
        example = self._layout.example(length, rows) if self._layout else []
        began = time.perf_counter()
        self.run([example], alone=alone)
        return time.perf_counter() - began

    def differs(self, other: TorchProgram) -> float:
        """The largest difference between the answers of both to an example."""
        examples = [self._layout.example(16, 2)] if self._layout else []
        return difference(*(program.run(examples, alone=False).outputs[0] for program in (self, other)))

    def _try_padding(self, layout: Layout) -> None:
        short, long = (layout.example(length) for length in (7, 16))
        alone, joined = self.run([short], alone=False).outputs[0], self.run([short, long], alone=False).outputs[0]
        worst = difference(alone, joined)
        if not worst <= self._tolerance:
            self.joinable = False
            _log.warning("Padding changes the answers of %s by %.2g: its requests run alone", self.name, worst)

    def _fitted_cost(self, layout: Layout) -> Cost:
        points: list[Point] = []
        began = time.perf_counter()
        # A model that does not state its maximum length is not run with longer inputs than padding
        # was tried with.
        is_bounded = layout.signature.max_length or layout.signature.length is None
        for rows, sample_length in _SAMPLES if is_bounded else _SHORT_SAMPLES:
            if len(points) >= _ALWAYS and time.perf_counter() - began > _LONG_S:
                break
            length = max(1, layout.shape(layout.example(sample_length, rows)).length)
            # The faster of two runs: the first of a new shape may be slowed by preparations.
            points.append((rows, length, min(self.seconds(rows, sample_length) for _ in range(2))))
        return fit(points)

    @property
    def name(self) -> str:
        """The name in its signature."""
        return self.signature.name if self.signature else "model"

    def _call(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        with torch.inference_mode():
            outputs = self._forward(*(tensor.to(self._device.device) for tensor in inputs))
            return [tensor.cpu() for tensor in flat(outputs)]
