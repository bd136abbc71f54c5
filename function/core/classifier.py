"""From texts to labels: tokens, the model's run at the agent, scores. No HTTP, no details of the RPC."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from function.core.options import Options, Unusable
from function.core.texts import PAIR_FORM, Pair, Text
from function.core.tokens import Encoded, Encoder
from vaccel_common import tracing
from vaccel_common.modelfile import Extras, ModelFileError, Pairs, ProblemType, Signature
from vaccel_common.records import record
from vaccel_common.scores import SCORES
from vaccel_rpc.client import RunResult, Variant
from vaccel_rpc.errors import Internal, RpcError
from vaccel_rpc.tensors import Tensor, is_finite, to_values

#: How many different characters the message about a text without tokens shows.
_SHOWN = 5


class OutputNotFinite(Internal):
    """The model's output for a text is NaN or infinite, and will be however often the text is sent."""


class Runner(Protocol):
    """What runs the model; `vaccel_rpc.remote.RemoteModel` is one."""

    def run_each(
        self,
        requests: Sequence[Sequence[Tensor]],
        outputs: int,
        timeout: float | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> Sequence[RunResult | RpcError]:
        """Each request's outputs and the time they took at the agent, or its own error (`RpcError.of_run`).

        Raises `RpcError` for what concerns all of them.
        """


@record
class Prediction:
    """One text's result. ``scores``: a probability for each label (a plain number for regression); ``logits``: the model's outputs;
    both in the model's order.

    ``score``: of the best label. ``windows``: the number of runs whose scores were averaged. ``variant``: the variant that ran in
    the model's place, if one did. ``model``: the sha256 of the model, where its name did not tell and the agent did.
    """

    label: str
    score: float
    scores: dict[str, float]
    logits: dict[str, float]
    tokens: int
    truncated: bool
    windows: int
    variant: Variant | None = None
    model: str | None = None


#: What becomes of a text: a prediction, `Unusable` where the text is wrong, an `RpcError` where the model failed for it.
Item = Prediction | Unusable | RpcError


@dataclass
class Durations:
    """Seconds that one request took in each part; ``queue``, ``forward``: the longest of its runs at the agent."""

    tokenize: float = 0.0
    rpc: float = 0.0
    queue: float = 0.0
    forward: float = 0.0


@record
class Classification:
    """An item for each text, in order, and where the time went."""

    items: list[Item]
    spent: Durations = field(default_factory=Durations)


@record
class Prepared:
    """Texts that are encoded, the ``runs`` that they need, and when that began and ended."""

    encoded: list[Encoded | Unusable]
    runs: list[list[Tensor]]
    began: float
    encoded_at: float


class Classifier:
    """A model's tokenizer, labels and scores, and what runs it; ``blank``: texts without a token are classified too."""

    def __init__(self, encoder: Encoder, signature: Signature, labels: list[str], runner: Runner, *, blank: bool = False) -> None:
        self.labels = labels
        self._encoder, self._signature, self._runner, self._blank = encoder, signature, runner, blank

    @classmethod
    def of_file(cls, extras: Extras, runner: Runner, *, blank: bool = False) -> Classifier:
        """The classifier of a model file. Raises `ModelFileError` where the file lacks a part that is needed."""
        if extras.tokenizer is None or extras.labels is None or extras.signature is None:
            raise ModelFileError("the model file needs tokenizer.json, labels.json, signature.json (python -m models.export)")
        return cls(Encoder(extras.tokenizer, extras.signature), extras.signature, extras.labels, runner, blank=blank)

    @property
    def pairs(self) -> Pairs:
        """Whether a text may, must or cannot have a second one."""
        return self._encoder.pairs

    @property
    def problem_type(self) -> ProblemType:
        """What the scores are: shares of one label, or of several, or plain numbers."""
        return self._signature.problem_type

    def classify(
        self,
        texts: Sequence[Text | Unusable],
        timeout: float | None = None,
        options: Options = Options(),  # noqa: B008 frozen
        metadata: Mapping[str, str] | None = None,
    ) -> Classification:
        """A prediction for each text or pair. An `Unusable` among them is returned as it is; a new one names its text ``texts[i]``.

        Raises `RpcError`.
        """
        prepared = self.prepare(texts, options, metadata)
        runs = prepared.runs
        results = self._runner.run_each(runs, self.outputs, timeout, metadata=metadata) if runs else []
        return self.finish(prepared, results)

    @property
    def outputs(self) -> int:
        """The number of the model's outputs."""
        return len(self._signature.outputs)

    def prepare(
        self,
        texts: Sequence[Text | Unusable],
        options: Options = Options(),  # noqa: B008 frozen
        metadata: Mapping[str, str] | None = None,
    ) -> Prepared:
        """The first half of `classify`, up to the runs."""
        began = time.perf_counter()
        with tracing.start("tokenize", metadata):
            encoded = self._encode(texts, options)
        runs = [window for item in encoded if isinstance(item, Encoded) for window in item.windows]
        return Prepared(encoded, runs, began, time.perf_counter())

    def finish(self, prepared: Prepared, results: Sequence[RunResult | RpcError]) -> Classification:
        """The second half of `classify`, with what became of the runs."""
        spent = Durations(prepared.encoded_at - prepared.began)
        if results:
            spent.rpc = time.perf_counter() - prepared.encoded_at
        timings = [result.timings for result in results if isinstance(result, RunResult) and result.timings]
        spent.queue = max((timing.queue for timing in timings), default=0.0)
        spent.forward = max((timing.forward for timing in timings), default=0.0)
        left = iter(results)
        items: list[Item] = [
            item if isinstance(item, Unusable) else self._prediction([next(left) for _ in item.windows], item)
            for item in prepared.encoded
        ]
        return Classification(items, spent)

    def _encode(self, texts: Sequence[Text | Unusable], options: Options) -> list[Encoded | Unusable]:
        texts = [self._taken(text, i) for i, text in enumerate(texts)]
        good = [text for text in texts if not isinstance(text, Unusable)]
        encoded = iter(self._encoder.encode(good, options.truncation) if good else ())
        return [
            text if isinstance(text, Unusable) else self._checked(next(encoded), text, f"texts[{i}]", options)
            for i, text in enumerate(texts)
        ]

    def _taken(self, text: Text | Unusable, i: int) -> Text | Unusable:
        """The text, or why the model does not take it alone or with another."""
        if isinstance(text, Pair):
            if self.pairs == "refused":
                return Unusable(f"texts[{i}] has a text_pair; this model takes single texts")
        elif self.pairs == "required" and not isinstance(text, Unusable):
            return Unusable(f"texts[{i}] has no text_pair; this model takes pairs of texts: {PAIR_FORM}")
        return text

    def _checked(self, item: Encoded, text: Text, where: str, options: Options) -> Encoded | Unusable:
        if item.blank and not self._blank:
            blank, of = self._blank_part(text)
            return Unusable(f"{where}{of} is empty: {_characters(blank)}, and no token that the model can see")
        if item.truncated and options.truncation in ("error", "window"):
            limit, pair = self._encoder.max_length, isinstance(text, Pair)
            if options.truncation == "window":
                return Unusable(
                    f"{where} and its text_pair have {item.total} tokens, each more than a half of the {limit} that the "
                    "model sees, so that no window has one of them whole (truncation: head or tail)"
                )
            said = f"{where} and its text_pair have" if pair else f"{where} has"
            return Unusable(f"{said} {item.total} tokens; the model sees at most {limit} (truncation: head, tail or window)")
        return item

    def _blank_part(self, text: Text) -> tuple[str, str]:
        """The text without a token, and what follows its name in a message."""
        if not isinstance(text, Pair):
            return text, ""
        (first,) = self._encoder.encode([text.text])
        return (text.text, "") if first.blank else (text.text_pair, "'s text_pair")

    def _prediction(self, outcomes: list[RunResult | RpcError], encoded: Encoded) -> Prediction | RpcError:
        runs: list[RunResult] = []
        for outcome in outcomes:
            if isinstance(outcome, RpcError):
                return outcome
            runs.append(outcome)
        # A model whose other outputs are not finite has failed as well, whatever its first one says.
        if not all(is_finite(tensor) for run in runs for tensor in run.outputs):
            return OutputNotFinite("the model's output is not finite")
        outputs = [to_values(run.outputs[0]) if run.outputs else [] for run in runs]
        for values in outputs:
            if len(values) != len(self.labels):
                return Internal(f"the model gave {len(values)} numbers for {len(self.labels)} labels")
        score = SCORES[self._signature.problem_type]
        values, logits = _mean([score(values) for values in outputs]), _mean(outputs)
        best = max(range(len(values)), key=values.__getitem__)
        return Prediction(
            label=self.labels[best],
            score=values[best],
            scores=dict(zip(self.labels, values, strict=True)),
            logits=dict(zip(self.labels, logits, strict=True)),
            tokens=encoded.tokens,
            truncated=encoded.truncated,
            windows=len(runs),
            variant=next((run.variant for run in runs if run.variant), None),
            model=runs[0].model,
        )


def _characters(text: str) -> str:
    """How many characters a text has, and the code points of the first different ones."""
    different = [f"U+{ord(character):04X}" for character in dict.fromkeys(text)]
    more = ", ..." if len(different) > _SHOWN else ""
    return f"{len(text)} character{'s' if len(text) > 1 else ''} ({', '.join(different[:_SHOWN])}{more})"


def _mean(rows: Sequence[Sequence[float]]) -> list[float]:
    return list(rows[0]) if len(rows) == 1 else [math.fsum(column) / len(rows) for column in zip(*rows, strict=True)]
