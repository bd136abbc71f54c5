"""A program that tries padding and measures what its batches cost, whichever library runs it."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

from agent.engines.arrays import difference
from agent.engines.buckets import BatchShape
from agent.engines.contract import Batch
from agent.engines.cost import UNKNOWN, Cost, Point, fit
from agent.engines.layout import Layout
from vaccel_common.modelfile import Signature, VariantOf
from vaccel_rpc.errors import RpcError
from vaccel_rpc.tensors import Tensor

#: The largest difference allowed between a padded and an unpadded run.
TOLERANCE = 1e-3
#: The same between two forms of an exact model, and of a program with and without what makes it quicker.
_SAME = 1e-4
#: Variants are coarser: with padding, a few of their numbers round the other way.
_TOLERANCES = {"int8": 0.2, "bf16": 0.1, "fp16": 0.02}

#: Rows and length of the batches by whose times a program's cost is fitted: the first _ALWAYS of
#: them, and the others until _LONG_S seconds have passed.
_SAMPLES, _ALWAYS, _LONG_S = ((1, 8), (8, 8), (1, 32), (8, 32), (1, 128), (8, 128)), 5, 0.25
#: The same for a model that does not state its maximum length.
_SHORT_SAMPLES = ((1, 4), (8, 4), (1, 8), (8, 8), (1, 16), (8, 16))


def _lengths(signature: Signature) -> tuple[int, int]:
    """The lengths of a request and of a longer one with which padding is tried: equal where the model takes one token at most."""
    long = min(16, signature.max_length or 16)
    return min(7, max(1, long - 1)), long


def tolerance(variant: VariantOf | None, precision: str | None = None) -> float:
    """The largest difference allowed for a file that is such a variant; None: that is an original.

    ``precision``: in which it computes, where that is not the file's own.
    """
    return _TOLERANCES.get(precision or (variant.precision if variant else ""), TOLERANCE)


class MeasuredProgram(ABC):
    """An `agent.engines.contract.Program`, but for how it runs.

    ``joinable``: its signature allows it, and padding changed its answers by at most ``tolerance``.
    ``cost``: of its batches on one thread, measured by `warm_up`. ``log``: of its engine.
    """

    def __init__(self, signature: Signature | None, tolerance: float, log: logging.Logger) -> None:
        self._tolerance, self._log = tolerance, log
        self.signature = signature
        self.cost = UNKNOWN
        self.layout = Layout(signature) if signature else None
        self.joinable = bool(self.layout and self.layout.joinable)

    @abstractmethod
    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:
        """See `agent.engines.contract.Program.run`."""

    def warm_up(self) -> None:
        """Runs once alone and once padded.

        Where the two agree, measures the cost; else requests are not joined.
        """
        if self.layout is None:
            return
        try:
            if self.joinable:
                self._try_padding(self.layout)
            else:
                self.run([self.layout.example(7)], alone=False)
        except RpcError as error:
            self.joinable = False
            self._log.warning("%s failed at warm-up, its requests run alone: %s", self.name, error)
        if self.joinable:
            self._measure(self.layout)

    def _ran(self, rows: int, length: int) -> BatchShape:
        """The shape in which a batch of these rows runs, by whose time its cost is fitted."""
        return rows, length

    def _measure(self, layout: Layout) -> None:
        try:
            self.cost = self._fitted_cost(layout)
            self._log.info("A batch of %s takes %s", self.name, self.cost)
        except RpcError as error:
            self._log.warning(
                "The cost of a batch of %s cannot be measured, so batches have up to --max-batch rows: %s", self.name, error
            )

    def seconds(self, rows: int, length: int, *, alone: bool = False) -> float:
        """The seconds that a batch takes."""
        example = self.layout.example(length, rows) if self.layout else []
        began = time.perf_counter()
        self.run([example], alone=alone)
        return time.perf_counter() - began

    @property
    def same(self) -> float:
        """The largest difference between its answers and those of another form of it that may take its place."""
        return _SAME if self._tolerance <= TOLERANCE else self._tolerance

    def answers(self, more: Sequence[Sequence[Tensor]] = ()) -> list[Tensor]:
        """Its answers to examples, alone and, where they can be, padded, and to ``more`` requests, each alone."""
        examples: list[list[Tensor]] = []
        if self.layout:
            short, long = _lengths(self.layout.signature)
            examples = [self.layout.example(long, 2), self.layout.example(short)]
        batches: list[Sequence[Sequence[Tensor]]] = [[request] for request in (*examples, *more)]
        if self.joinable:
            batches.append(examples)
        return [tensor for batch in batches for outputs in self.run(batch, alone=False).outputs for tensor in outputs]

    def differs(self, answers: Sequence[Tensor], more: Sequence[Sequence[Tensor]] = ()) -> float:
        """The largest difference between its `answers` and another program's."""
        return difference(self.answers(more), answers)

    def _try_padding(self, layout: Layout) -> None:
        short, long = map(layout.example, _lengths(layout.signature))
        alone, joined = self.run([short], alone=False).outputs[0], self.run([short, long], alone=False).outputs[0]
        worst = difference(alone, joined)
        if not worst <= self._tolerance:
            self.joinable = False
            self._log.warning("Padding changes the answers of %s by %.2g: its requests run alone", self.name, worst)

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
            points.append((*self._ran(rows, length), min(self.seconds(rows, sample_length) for _ in range(2))))
        return fit(points)

    @property
    def name(self) -> str:
        """The name in its signature."""
        return self.signature.name if self.signature else "model"
