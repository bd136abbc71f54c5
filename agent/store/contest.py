"""Compares programs that should give the same answers, and finds the quicker one.

Programs are timed one after the other and on one thread each, so that other load on the machine
slows both alike, and each is judged by its best time at each shape.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from agent.engines.arrays import difference
from agent.engines.contract import Program
from agent.engines.layout import Layout
from agent.packing import BatchLimits, pack
from vaccel_rpc.errors import RpcError
from vaccel_rpc.tensors import Tensor

#: The most by which two exact forms' outputs may differ.
TOLERANCE = 1e-4
#: How many requests are timed together, and their mean length: one text and several, as short as a
#: tweet and longer. Each counts the same: a program's score is the geometric mean of its relative times.
SHAPES = ((1, 16), (8, 16), (1, 32), (8, 32), (1, 128))
#: Several are as long as this share of the mean and more, up to the same above it, and run in the
#: batches that the agent would make of them.
_SHORTEST = 0.5
#: Rounds over the shapes, and seconds after which no further batch is timed.
_ROUNDS, _SECONDS = 5, 2.0
#: A challenger takes at most this share of the holder's time, so that noise changes nothing.
MARGIN = 0.95
#: Rows and length of the requests whose answers are compared.
_TRIED = ((1, 5), (3, 16), (2, 48))
#: How many different values their inputs have: few enough for any vocabulary (a number beyond it costs a GPU), or two.
_SPREADS = (8, 2)

Answers = list[list[Tensor]]


class Contest:
    """Programs against the ``registered`` one. Raises `RpcError` where that fails."""

    def __init__(self, registered: Program) -> None:
        if registered.signature is None:
            raise ValueError("a program without a signature cannot be tried")
        self._signature, self._joinable = registered.signature, registered.joinable
        self._layout = Layout(registered.signature)
        self._requests, self._expected = self._tried(registered)

    def difference(self, program: Program) -> str | None:
        """Why the program does not serve the same answers; None where it does."""
        signature, own = program.signature, self._signature
        if signature is None:
            return "it has no signature"
        if (signature.inputs, signature.outputs, signature.batch, signature.length, signature.max_length) != (
            own.inputs, own.outputs, own.batch, own.length, own.max_length,
        ):  # fmt: skip
            return "its inputs or outputs are other ones"
        if self._joinable and not program.joinable:
            return "its requests cannot be joined"
        try:
            answers = self._answers(program, self._requests)
        except RpcError as error:
            return f"it fails: {error.message}"
        worst = distance(self._expected, answers)
        # Negated, so that NaN counts as a difference.
        return None if worst <= TOLERANCE else f"its answers differ by {worst:.2g}, more than {TOLERANCE:g}"

    def ratio(self, holder: Program, challenger: Program) -> float:
        """See the function `ratio`."""
        return ratio(self._layout, holder, challenger)

    def _tried(self, registered: Program) -> tuple[list[list[Tensor]], Answers]:
        for spread in _SPREADS:
            requests = [self._layout.example(length, rows, spread) for rows, length in _TRIED]
            try:
                return requests, self._answers(registered, requests)
            except RpcError:
                if spread == _SPREADS[-1]:
                    raise
        raise AssertionError  # the loop returns or raises

    def _answers(self, program: Program, requests: Sequence[Sequence[Tensor]]) -> Answers:
        """Of each request alone, and of all joined, and so padded, where they can be."""
        alone = [outputs for request in requests for outputs in program.run([request], alone=False).outputs]
        return alone + (program.run(requests, alone=False).outputs if self._joinable else [])


def ratio(layout: Layout, holder: Program, challenger: Program) -> float:
    """The challenger's time for requests, as a share of the holder's. Raises `RpcError`."""
    programs = (holder, challenger)
    timed = [[_batches(program, layout, _lengths(*shape)) for program in programs] for shape in SHAPES]
    best: dict[int, list[float]] = {}
    end = time.monotonic() + _SECONDS
    for i in range(_ROUNDS * len(SHAPES)):
        if i and time.monotonic() > end:
            break
        at = i % len(SHAPES)
        times = [_seconds(program, batches) for program, batches in zip(programs, timed[at], strict=True)]
        best[at] = [min(pair) for pair in zip(times, best.get(at, times), strict=True)]
    return math.exp(sum(math.log(other / own) for own, other in best.values()) / len(best))


def distance(expected: Answers, answers: Answers) -> float:
    """The largest absolute difference between two programs' answers; infinite for other outputs."""
    worst = 0.0
    for left, right in zip(expected, answers, strict=True):
        if [(tensor.dtype, tensor.dims) for tensor in left] != [(tensor.dtype, tensor.dims) for tensor in right]:
            return math.inf
        # Negated, so that NaN stays.
        if not (found := difference(left, right)) <= worst:
            worst = found
            if math.isnan(worst):
                return worst
    return worst


def _lengths(count: int, mean: int) -> list[int]:
    """The lengths of so many requests, in no order, as of different clients."""
    if count == 1:
        return [mean]
    shortest = round(mean * _SHORTEST)
    return [shortest + 2 * (mean - shortest) * (3 * i % count) // (count - 1) for i in range(count)]


def _batches(program: Program, layout: Layout, lengths: Sequence[int]) -> list[list[Sequence[Tensor]]]:
    """The batches in which an agent runs requests of these lengths that wait together."""
    waiting: list[Sequence[Tensor]] = [layout.example(length) for length in lengths]
    batches: list[list[Sequence[Tensor]]] = []
    while waiting:
        shapes = [layout.shape(request) for request in waiting]
        chosen = pack(shapes, BatchLimits(), program.cost) if program.joinable else [0]
        batches.append([waiting[i] for i in chosen])
        waiting = [request for i, request in enumerate(waiting) if i not in chosen]
    return batches


def _seconds(program: Program, batches: Sequence[Sequence[Sequence[Tensor]]]) -> float:
    began = time.perf_counter()
    for batch in batches:
        program.run(batch, alone=False)
    return time.perf_counter() - began
