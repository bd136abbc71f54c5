"""Texts -> token ids -> the agent -> labels. No HTTP, no RPC details."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from function.tokens import Encoder
from vaccel_rpc.errors import Internal
from vaccel_rpc.modelfile import Extras, ModelFileError, Signature
from vaccel_rpc.tensors import Tensor, to_values


class Runner(Protocol):
    """What runs the model: `vaccel_rpc.remote.RemoteModel`."""

    def run_all(self, requests: Sequence[Sequence[Tensor]], outputs: int, timeout: float | None = None) -> list[list[Tensor]]:
        """Each request's outputs. Raises `RpcError`."""


@dataclass(frozen=True)
class Prediction:
    """``scores``: label -> probability, or number (regression), in the model's order; ``score``: the best one's."""

    label: str
    score: float
    scores: dict[str, float]
    tokens: int
    truncated: bool


class Classifier:
    """A model's tokenizer, labels and scores, over what runs it."""

    def __init__(self, encoder: Encoder, signature: Signature, labels: list[str], runner: Runner) -> None:
        self._encoder, self._signature, self._labels, self._runner = encoder, signature, labels, runner

    @classmethod
    def of_file(cls, extras: Extras, runner: Runner) -> Classifier:
        """The classifier of a model file. Raises `ModelFileError` where it does not hold all that is needed."""
        if extras.tokenizer is None or extras.labels is None or extras.signature is None:
            raise ModelFileError("the model file needs tokenizer.json, labels.json, signature.json (python -m models.export)")
        return cls(Encoder(extras.tokenizer, extras.signature), extras.signature, extras.labels, runner)

    def classify(self, texts: Sequence[str], timeout: float | None = None) -> list[Prediction]:
        """A prediction for each text, in order. Raises `RpcError`."""
        encoded = self._encoder.encode(texts)
        outputs = self._runner.run_all([text.inputs for text in encoded], len(self._signature.outputs), timeout)
        return [self._prediction(tensors[0], text.tokens, text.truncated) for tensors, text in zip(outputs, encoded, strict=True)]

    def _prediction(self, logits: Tensor, tokens: int, truncated: bool) -> Prediction:
        values = SCORES[self._signature.problem_type](to_values(logits))
        if len(values) != len(self._labels):
            raise Internal(f"the model gave {len(values)} numbers for {len(self._labels)} labels")
        best = max(range(len(values)), key=values.__getitem__)
        return Prediction(self._labels[best], values[best], dict(zip(self._labels, values, strict=True)), tokens, truncated)


def softmax(logits: Sequence[float]) -> list[float]:
    """exp(x_i) / sum exp(x_j), with the largest taken off first so that nothing overflows."""
    largest = max(logits)
    powers = [math.exp(x - largest) for x in logits]
    total = sum(powers)
    return [power / total for power in powers]


def sigmoid(logits: Sequence[float]) -> list[float]:
    """1 / (1 + exp(-x)) of each, in the form that does not overflow."""
    return [1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x)) for x in logits]


#: How logits become scores, by the signature's problem type.
SCORES: dict[str, Callable[[Sequence[float]], list[float]]] = {
    "single_label_classification": softmax,
    "multi_label_classification": sigmoid,
    "regression": list,
}
