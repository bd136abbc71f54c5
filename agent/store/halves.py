"""Whether a model computed in half precision may run in its own place, and is quicker: on a few examples.

They are made up, as nothing is known of a model's texts: short and long rows of the first numbers of
a vocabulary, which every model has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.agreement import agreement
from agent.engines.contract import Program
from agent.engines.layout import Layout
from agent.store.contest import MARGIN, ratio
from vaccel_rpc.errors import RpcError
from vaccel_rpc.tensors import Tensor, is_finite

#: What loads a model's file so that it computes in a precision, by the precision's name; the first
#: is tried first.
Halves = Callable[[Path], Mapping[str, Callable[[Path], Program]]]

#: The most by which a score may differ.
TOLERANCE = 0.05
#: The lengths of the examples, and how many different numbers each has.
_LENGTHS, _SPREADS = (5, 7, 16, 23, 48), range(2, 9)


@dataclass(frozen=True)
class HalfTrial:
    """``labels``: how many of the ``examples`` got the label that they get in float32.

    ``difference``: the largest of two scores. ``share``: the time for a batch, of that in float32.
    """

    examples: int
    labels: int
    difference: float
    share: float

    @property
    def refusal(self) -> str | None:
        """Why it does not run; None where it does."""
        # Negated, so that NaN counts as a difference.
        if not self.difference <= TOLERANCE:
            return f"its scores differ by {self.difference:.2g}, more than {TOLERANCE:g}"
        return None if self.share < MARGIN else f"it takes {self.share:.2f} of the time"

    def __str__(self) -> str:
        same = f"{self.labels} of {self.examples} examples have the same label"
        return f"it takes {self.share:.2f} of the time, scores differ by {self.difference:.2g} at most, {same}"


def tried(exact: Program, half: Program) -> HalfTrial | str:
    """The half compared with the exact one and timed, or why it cannot run in its place. Raises `RpcError`, `DeviceLost`."""
    signature = exact.signature
    if signature is None:
        return "it has no signature"
    if exact.joinable and not half.joinable:
        return "its requests cannot be joined"
    layout = Layout(signature)
    requests = [layout.example(length, 1, spread) for length in _LENGTHS for spread in _SPREADS]
    try:
        expected, answers = _answers(exact, requests), _answers(half, requests)
    except RpcError as error:
        return f"it fails: {error.message}"
    if not all(is_finite(tensor) for tensors in answers for tensor in tensors):
        return "its answers are not finite numbers"
    found = [agreement(signature, *pair) for pair in zip(expected, answers, strict=True)]
    agreements = [each for each in found if each]
    if len(agreements) < len(found):
        return "its outputs are not rows of scores"
    labels, difference = sum(each.labels for each in agreements), max(each.difference for each in agreements)
    return HalfTrial(len(agreements), labels, difference, ratio(layout, exact, half))


def _answers(program: Program, requests: list[list[Tensor]]) -> list[list[Tensor]]:
    if program.joinable:
        return program.run(requests, alone=False).outputs
    return [program.run([request], alone=False).outputs[0] for request in requests]
