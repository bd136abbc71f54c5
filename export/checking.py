"""Compares a written file, loaded as the agent loads it, with the classifier that it was made from.

Texts go through the function's own code on one side (`function.core.classifier.Classifier`: tokens
and scores) and through transformers' pipeline on the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from agent.engines.contract import Program
from agent.engines.registry import Engines
from agent.engines.torch.device import TorchDevice
from agent.engines.torch.program import TorchProgram
from export.huggingface import Folder
from export.refusal import Refused, one_line
from export.weights import in_float32
from function.core.classifier import Classifier, Prediction
from function.core.texts import Pair, Text
from function.core.tokens import Encoder
from vaccel_common.modelfile import PROBLEM_TYPES, Extras, Signature, read_extras
from vaccel_rpc.client import RunResult
from vaccel_rpc.errors import RpcError
from vaccel_rpc.tensors import Tensor, to_values

#: Scores may differ by this much: different libraries sum in different orders.
LIMIT = 1e-4
#: Probabilities add up to 1, but for so much; half-precision numbers are the least exact.
_ROUNDING = 5e-3
#: Texts run alone, and padded in batches of these sizes.
BATCHES = (3, 16)
#: So many texts are answered once more by what a file is compared with, which must not be random.
_AGAIN = 4


@dataclass(frozen=True)
class Answer:
    """What a text gets: its token ids, and logits and scores by label."""

    tokens: list[int]
    logits: Mapping[str, float]
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Expected:
    """The right answers to ``texts``, and who gave them."""

    against: str
    texts: list[Text]
    answers: list[Answer]


@dataclass(frozen=True)
class Verdict:
    """The largest differences over all texts, alone and padded; ``verdict.json`` in the file.

    ``texts``: their number, ``pairs``: that of those which are pairs; ``longest``: tokens of the longest;
    ``scores``, ``logits``: absolute, and relative to numbers above 1; ``labels``: how many texts got another
    best label in some run.
    """

    against: str
    texts: int
    pairs: int
    longest: int
    batches: tuple[int, ...]
    scores: float
    logits: float
    labels: int

    def json(self, weights: str) -> dict[str, Any]:
        """The contents of ``verdict.json``, format 1; ``weights``: their type in the file."""
        return {"format": 1, **asdict(self), "batches": list(self.batches), "weights": weights}

    def __str__(self) -> str:
        padded = f" and padded in batches of {' and '.join(map(str, self.batches[1:]))}" if self.batches[1:] else ""
        pairs = f" ({self.pairs} of them pairs)" if self.pairs else ""
        return (
            f"{self.texts} texts{pairs} of up to {self.longest} tokens, alone{padded}, against {self.against}: "
            f"scores differ by at most {self.scores:.1e}, logits by {self.logits:.1e}, {self.labels} labels differ"
        )


def of_pipeline(folder: Folder, texts: Sequence[Text]) -> Expected:
    """The answers of transformers' own pipeline, tokenizer included, one text or pair at a time.

    Raises `Refused` where it has none.
    """
    import transformers

    cut = {"truncation": True, "max_length": folder.max_length}
    try:
        pipeline = transformers.pipeline("text-classification", model=folder.model, tokenizer=folder.tokenizer)
        named = [text._asdict() if isinstance(text, Pair) else {"text": text} for text in texts]
        tokens = [folder.tokenizer(**text, **cut)["input_ids"] for text in named]
        logits, again = (pipeline(some, top_k=None, function_to_apply="none", **cut) for some in (named, named[:_AGAIN]))
        scores = pipeline(named, top_k=None, **cut)
    except Exception as error:  # noqa: BLE001 a model may raise anything
        limit = f"with texts of up to {folder.max_length} tokens, and fewer with --max-length"
        raise Refused(f"{folder.family}: transformers' own pipeline fails with it ({limit}): {one_line(error)}") from None
    answers = [Answer(*one) for one in zip(tokens, map(_by_label, logits), map(_by_label, scores), strict=True)]
    _refuse_not_finite(answers, "transformers' own pipeline")
    _refuse_random(answers, map(_by_label, again), "transformers' own pipeline")
    return Expected(f"the pipeline of transformers {transformers.__version__}", list(texts), answers)


def of_module(module: nn.Module, extras: Extras, texts: Sequence[Text], against: str) -> Expected:
    """The answers of a module with the tokenizer, labels and signature in ``extras``, one text at a time.

    It computes in float32, as the agent does, in whatever precision its weights are stored.
    """
    return of_program(TorchProgram(in_float32(module), _signature(extras), TorchDevice("cpu", 1)), extras, texts, against)


def of_program(program: Program, extras: Extras, texts: Sequence[Text], against: str, size: int = 1) -> Expected:
    """The answers of a program with the tokenizer, labels and signature in ``extras``, in batches of ``size``.

    Raises `Refused` where it does not run with these.
    """
    try:
        answers = _answers(program, extras, texts, size)
        # In batches the others decide about a text, too.
        again = _answers(program, extras, texts[:_AGAIN], size) if size == 1 else []
    except (RpcError, Refused) as error:
        limit = f"its texts have up to {_signature(extras).max_length} tokens here, and fewer with --max-length"
        raise Refused(f"{against} does not run ({limit}): {one_line(error)}") from None
    _refuse_not_finite(answers, against)
    _refuse_random(answers, (answer.logits for answer in again), against)
    if _signature(extras).problem_type == PROBLEM_TYPES[0]:
        _refuse_shares(answers, against)
    return Expected(against, list(texts), answers)


def check(path: Path, expected: Expected) -> Verdict:
    """The verdict on a file, loaded as the agent loads it on a CPU.

    Padding that changes an answer by more than `LIMIT` counts as ``batches`` of 1 alone: such a file
    must not be joined. Raises `Refused` where it does not run, has other tokens, or gives NaN.
    """
    extras = read_extras(path)
    engines = Engines()
    engines.open("cpu", 1)
    try:
        program = engines.load(path)
        answers = _answers(program, extras, expected.texts, 1)
    except (RpcError, Refused) as error:
        raise Refused(f"the written file does not run: {one_line(error)}") from None
    verdict = alone = _compared(answers, expected, (1,))
    for size in BATCHES if program.joinable else ():
        try:
            padded = _compared(_answers(program, extras, expected.texts, size), expected, (1,))
        except (RpcError, Refused):
            return alone
        if padded.scores > max(LIMIT, alone.scores * 2):
            return alone
        verdict = _worse(verdict, padded, (*verdict.batches, size))
    return verdict


def agreement(right: Expected, other: Expected) -> float:
    """The share of texts with the same best label in both, to four digits; of one label, on the same side of a half."""
    same = sum(_side(one) == _side(two) for one, two in zip(right.answers, other.answers, strict=True))
    return round(same / len(right.answers), 4)


def furthest(right: Expected, other: Expected) -> float:
    """The largest difference of a score."""
    return max(_distance(one.scores, two.scores) for one, two in zip(right.answers, other.answers, strict=True))


def _side(answer: Answer) -> str | bool:
    return _best(answer) if len(answer.scores) > 1 else next(iter(answer.scores.values())) > 0.5


class _LocalRunner:
    """Runs a program as the agent does, in batches of ``size`` where its requests may be joined."""

    def __init__(self, program: Program, size: int) -> None:
        self._program, self._size = program, size

    def run_each(
        self,
        requests: Sequence[Sequence[Tensor]],
        outputs: int,  # noqa: ARG002 a `function.core.classifier.Runner`
        timeout: float | None = None,  # noqa: ARG002
        *,
        metadata: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> list[RunResult]:
        batches = (requests[start : start + self._size] for start in range(0, len(requests), self._size))
        return [RunResult(row) for batch in batches for row in self._program.run(batch, alone=False).outputs]


def _answers(program: Program, extras: Extras, texts: Sequence[Text], size: int) -> list[Answer]:
    classifier = Classifier.of_file(extras, _LocalRunner(program, size), blank=True)
    items = classifier.classify(texts).items
    encoder = Encoder(extras.tokenizer or b"", _signature(extras))
    tokens = [[int(i) for i in to_values(encoded.windows[0][0])] for encoded in encoder.encode(texts)]
    answers = []
    for item, ids in zip(items, tokens, strict=True):
        if not isinstance(item, Prediction):
            raise Refused(f"it fails with a text of {len(ids)} tokens: {one_line(item)}")
        answers.append(Answer(ids, item.logits, item.scores))
    return answers


def _signature(extras: Extras) -> Signature:
    if extras.signature is None:
        raise Refused("signature.json is missing")
    return extras.signature


def _compared(answers: Sequence[Answer], expected: Expected, batches: tuple[int, ...]) -> Verdict:
    pairs = list(zip(answers, expected.answers, strict=True))
    for text, (ours, right) in zip(expected.texts, pairs, strict=True):
        if ours.tokens != right.tokens:
            raise Refused(
                f"the tokenizer in the file gives other tokens than {expected.against}, for example for {str(text)[:60]!r}"
            )
    return Verdict(
        against=expected.against,
        texts=len(pairs),
        pairs=sum(isinstance(text, Pair) for text in expected.texts),
        longest=max(len(right.tokens) for _, right in pairs),
        batches=batches,
        scores=max(_distance(ours.scores, right.scores) for ours, right in pairs),
        logits=max(_distance(ours.logits, right.logits) for ours, right in pairs),
        labels=sum(_best(ours) != _best(right) for ours, right in pairs),
    )


def _worse(one: Verdict, other: Verdict, batches: tuple[int, ...]) -> Verdict:
    worst = {name: max(getattr(one, name), getattr(other, name)) for name in ("scores", "logits", "labels")}
    return Verdict(one.against, one.texts, one.pairs, one.longest, batches, **worst)


def _best(answer: Answer) -> str:
    return max(answer.scores, key=answer.scores.__getitem__)


def _distance(ours: Mapping[str, float], right: Mapping[str, float]) -> float:
    """The largest difference, absolute, or relative to numbers above 1, as a regression may have them."""
    return max(abs(ours[label] - right[label]) / max(1.0, abs(right[label])) for label in right)


def _by_label(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {row["label"]: row["score"] for row in rows}


def _refuse_random(answers: Sequence[Answer], again: Iterable[Mapping[str, float]], against: str) -> None:
    """Raises `Refused` where the logits that the first texts got ``again`` are others than in their answers."""
    most = max((_distance(later, answer.logits) for answer, later in zip(answers, again, strict=False)), default=0.0)
    if not most <= LIMIT:  # NaN too
        raise Refused(
            f"{against} gives other answers to the same text each time (logits differ by {most:.1e}), so nothing can be compared with it: "
            "a model in training mode has dropout, which model.eval() ends before it is traced or exported"
        )


def _refuse_shares(answers: Sequence[Answer], against: str) -> None:
    """Raises `Refused` where the outputs for every text are probabilities, which would get a second softmax."""
    rows = [list(answer.logits.values()) for answer in answers]
    if all(len(row) > 1 and min(row) >= 0 and abs(sum(row) - 1) <= _ROUNDING for row in rows):
        raise Refused(
            f"{against} gives numbers that add up to 1 for each text: they are probabilities, and a softmax would be applied to "
            f"them once more; --problem-type {PROBLEM_TYPES[2]} leaves them as they are"
        )


def _refuse_not_finite(answers: Sequence[Answer], against: str) -> None:
    for answer in answers:
        if not all(map(math.isfinite, answer.logits.values())):
            raise Refused(f"{against} gives NaN or infinite outputs for a text of {len(answer.tokens)} tokens")
