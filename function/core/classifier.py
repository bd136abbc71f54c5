"""Texts -> token ids -> the agent -> labels. No HTTP, no RPC details."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from function.core.options import Options, Unusable
from function.core.tokens import Encoded, Encoder
from vaccel_common import tracing
from vaccel_common.modelfile import Extras, ModelFileError, Signature
from vaccel_rpc.client import RunResult, Variant
from vaccel_rpc.errors import Internal, RpcError
from vaccel_rpc.tensors import Tensor, to_values

#: Different characters that the message about a text without tokens shows.
_SHOWN = 5


class Runner(Protocol):
    """What runs the model: `vaccel_rpc.remote.RemoteModel`."""

    def run_timed(
        self,
        requests: Sequence[Sequence[Tensor]],
        outputs: int,
        timeout: float | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> list[RunResult]:
        """Each request's outputs and the time they took at the agent. Raises `RpcError`."""


@dataclass(frozen=True)
class Prediction:
    """``scores``, ``logits``: label -> probability (or number: regression), and what the model gave, in the model's order.

    ``score``: the best one's. ``windows``: runs whose scores were averaged. ``variant``: what ran in the model's place, if so.
    """

    label: str
    score: float
    scores: dict[str, float]
    logits: dict[str, float]
    tokens: int
    truncated: bool
    windows: int
    variant: Variant | None = None


#: What becomes of a text: `Unusable` where the text is to blame, an `RpcError` where what the model made of this one is.
Item = Prediction | Unusable | RpcError


@dataclass
class Durations:
    """Seconds that one request took in each part; ``queue``, ``forward``: the longest of its runs at the agent."""

    tokenize: float = 0.0
    rpc: float = 0.0
    queue: float = 0.0
    forward: float = 0.0


@dataclass(frozen=True)
class Classification:
    """What became of each text, in order."""

    items: list[Item]
    spent: Durations = field(default_factory=Durations)


class Classifier:
    """A model's tokenizer, labels and scores, over what runs it; ``blank``: texts without a token are classified too."""

    def __init__(self, encoder: Encoder, signature: Signature, labels: list[str], runner: Runner, *, blank: bool = False) -> None:
        self.labels = labels
        self._encoder, self._signature, self._runner, self._blank = encoder, signature, runner, blank

    @classmethod
    def of_file(cls, extras: Extras, runner: Runner, *, blank: bool = False) -> Classifier:
        """The classifier of a model file. Raises `ModelFileError` where it does not hold all that is needed."""
        if extras.tokenizer is None or extras.labels is None or extras.signature is None:
            raise ModelFileError("the model file needs tokenizer.json, labels.json, signature.json (python -m models.export)")
        return cls(Encoder(extras.tokenizer, extras.signature), extras.signature, extras.labels, runner, blank=blank)

    def classify(
        self,
        texts: Sequence[str | Unusable],
        timeout: float | None = None,
        options: Options = Options(),  # noqa: B008 frozen
        metadata: Mapping[str, str] | None = None,
    ) -> Classification:
        """A prediction for each text; an `Unusable` stays what it is, a new one names its text ``texts[i]``. Raises `RpcError`."""
        spent = Durations()
        began = time.perf_counter()
        with tracing.start("tokenize", metadata):
            encoded = self._encode(texts, options)
        spent.tokenize = time.perf_counter() - began
        runs = [window for item in encoded if isinstance(item, Encoded) for window in item.windows]
        done = iter(self._run(runs, timeout, metadata, spent))
        items: list[Item] = [
            item if isinstance(item, Unusable) else self._prediction([next(done) for _ in item.windows], item) for item in encoded
        ]
        return Classification(items, spent)

    def _encode(self, texts: Sequence[str | Unusable], options: Options) -> list[Encoded | Unusable]:
        good = [text for text in texts if not isinstance(text, Unusable)]
        encoded = iter(self._encoder.encode(good, options.truncation) if good else ())
        return [
            text if isinstance(text, Unusable) else self._checked(next(encoded), text, f"texts[{i}]", options)
            for i, text in enumerate(texts)
        ]

    def _checked(self, item: Encoded, text: str, where: str, options: Options) -> Encoded | Unusable:
        if item.blank and not self._blank:
            return Unusable(f"{where} is empty: {_characters(text)}, and no token that the model can see")
        if item.truncated and options.truncation == "error":
            most = self._encoder.max_length
            return Unusable(f"{where} has {item.whole} tokens; the model sees at most {most} (truncation: head, tail or window)")
        return item

    def _run(
        self, runs: list[list[Tensor]], timeout: float | None, metadata: Mapping[str, str] | None, spent: Durations
    ) -> list[RunResult]:
        if not runs:
            return []
        began = time.perf_counter()
        ran = self._runner.run_timed(runs, len(self._signature.outputs), timeout, metadata=metadata)
        spent.rpc = time.perf_counter() - began
        timings = [one.timings for one in ran if one.timings]
        spent.queue = max((one.queue for one in timings), default=0.0)
        spent.forward = max((one.forward for one in timings), default=0.0)
        return ran

    def _prediction(self, runs: list[RunResult], encoded: Encoded) -> Prediction | Internal:
        given = [to_values(ran.outputs[0]) for ran in runs]
        if any(len(values) != len(self.labels) for values in given):
            raise Internal(f"the model gave {len(given[0])} numbers for {len(self.labels)} labels")
        if not all(math.isfinite(sum(values)) for values in given):
            return Internal("the model's output is not finite")
        score = SCORES[self._signature.problem_type]
        values, logits = _mean([score(values) for values in given]), _mean(given)
        best = max(range(len(values)), key=values.__getitem__)
        return Prediction(
            label=self.labels[best],
            score=values[best],
            scores=dict(zip(self.labels, values, strict=True)),
            logits=dict(zip(self.labels, logits, strict=True)),
            tokens=encoded.tokens,
            truncated=encoded.truncated,
            windows=len(runs),
            variant=next((ran.variant for ran in runs if ran.variant), None),
        )


def _characters(text: str) -> str:
    """How many characters a text has, and the code points of the first different ones."""
    different = [f"U+{ord(character):04X}" for character in dict.fromkeys(text)]
    more = ", ..." if len(different) > _SHOWN else ""
    return f"{len(text)} character{'s' if len(text) > 1 else ''} ({', '.join(different[:_SHOWN])}{more})"


def _mean(rows: Sequence[Sequence[float]]) -> list[float]:
    return list(rows[0]) if len(rows) == 1 else [math.fsum(column) / len(rows) for column in zip(*rows, strict=True)]


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
