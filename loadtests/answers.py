"""Whether an answer is right: a fast wrong answer is a failure. No Locust, no HTTP."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from typing import Any

#: How far scores may be from a sum of 1, and from what the same text had before: other texts in its batch change the last digits.
_SUM, _MOVED = 1e-3, 0.05
_MOVED_LOGIT = 0.5


class WrongAnswer(Exception):
    """What is wrong with an answer, in words that are the same each time it happens."""


class Judge:
    """Knows the labels, and what each text was answered before: a text that gets another one's answer is found out."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = list(labels)
        self._tokens: dict[tuple[str, str], int] = {}
        self._values: dict[tuple[str, str, str], list[float]] = {}

    def one(self, text: str, body: bytes | str) -> None:
        """The answer to one text. Raises `WrongAnswer`, as all methods do."""
        answer = parsed(body)
        self.prediction(text, answer, _model(answer))

    def many(self, texts: Sequence[str], body: bytes | str) -> None:
        """The answer to several: as many, in their order."""
        answer = parsed(body)
        found = answer.get("predictions")
        if not isinstance(found, list) or len(found) != len(texts):
            raise WrongAnswer("the number of predictions is not the number of texts")
        for text, prediction in zip(texts, found, strict=True):
            self.prediction(text, prediction, _model(answer))

    def line(self, number: int, text: str, line: bytes) -> None:
        """The answer to line ``number``, whose id is its number."""
        answer = parsed(line)
        if "error" in answer:
            raise WrongAnswer(f"a line was refused: {_short(answer['error'])}")
        if answer.get("line") != number or answer.get("id") != number:
            raise WrongAnswer("a line's answer is out of order")
        self.prediction(text, answer, "")

    def prediction(self, text: str, found: Any, model: str) -> None:
        """One prediction as JSON has it."""
        if not isinstance(found, dict) or not isinstance(found.get("scores"), dict):
            raise WrongAnswer("a prediction has no scores")
        if list(found["scores"]) != self._labels:
            raise WrongAnswer("the scores' labels are not the model's")
        scores = list(found["scores"].values())
        self._check(text, found.get("label"), scores, found.get("tokens"), model)
        if found.get("score") != max(scores):
            raise WrongAnswer("the score is not the best one")

    def inference(self, texts: Sequence[str], head: bytes | str, binary: bytes | None = None) -> None:
        """An answer of the Open Inference Protocol with label, scores and tokens; ``binary``: what follows its JSON."""
        answer = parsed(head)
        outputs = _outputs(answer, binary)
        labels, scores, tokens = (outputs.get(name, []) for name in ("label", "scores", "tokens"))
        wide = len(self._labels)
        if (len(labels), len(scores), len(tokens)) != (len(texts), wide * len(texts), len(texts)):
            raise WrongAnswer("the outputs' elements are not as many as the texts'")
        for i, text in enumerate(texts):
            self._check(text, labels[i], scores[wide * i : wide * (i + 1)], tokens[i], f"v2 {answer.get('model_name')}")

    def logits(self, text: str, values: Sequence[float]) -> None:
        """What the model itself gave for a text, over the RPC."""
        if len(values) != len(self._labels):
            raise WrongAnswer("the model gave another number of values than there are labels")
        if not all(math.isfinite(value) for value in values):
            raise WrongAnswer("the model gave a value that is no number")
        self._as_before(text, "logits", "", values, _MOVED_LOGIT)

    def _check(self, text: str, label: Any, scores: list[Any], tokens: Any, model: str) -> None:
        if label not in self._labels:
            raise WrongAnswer("the label is not one of the model's")
        if not all(isinstance(score, int | float) and 0 <= score <= 1 for score in scores):
            raise WrongAnswer("a score is not between 0 and 1")
        if abs(math.fsum(scores) - 1) > _SUM:
            raise WrongAnswer("the scores do not sum to 1")
        if scores[self._labels.index(label)] < max(scores):
            raise WrongAnswer("the label is not the one with the best score")
        if not isinstance(tokens, int) or tokens != self._tokens.setdefault((model, text), tokens):
            raise WrongAnswer("the answer is another text's: its tokens are not those that the text had before")
        self._as_before(text, "scores", model, scores, _MOVED)

    def _as_before(self, text: str, kind: str, model: str, values: Sequence[float], most: float) -> None:
        before = self._values.setdefault((kind, model, text), list(values))
        if any(abs(value - old) > most for value, old in zip(values, before, strict=True)):
            raise WrongAnswer(f"the answer is another text's: its {kind} are not those that the text had before")


def parsed(body: bytes | str) -> dict[str, Any]:
    """The object in ``body``. Raises `WrongAnswer`."""
    try:
        found = json.loads(body)
    except ValueError:
        raise WrongAnswer("the answer is no JSON") from None
    if not isinstance(found, dict):
        raise WrongAnswer("the answer is no object")
    return found


def problem(status: int, body: bytes | str) -> str:
    """A refusal in a few words: its status, and the detail where the answer is a problem (RFC 9457)."""
    try:
        return f"{status}: {_short(parsed(body))}"
    except WrongAnswer:
        return f"{status}, without a problem's detail"


def _short(found: Any) -> str:
    detail = found.get("detail", found.get("error", "")) if isinstance(found, dict) else found
    return str(detail)[:100]


def _model(answer: dict[str, Any]) -> str:
    model = answer.get("model")
    return str(model.get("sha256")) if isinstance(model, dict) else ""


def _outputs(answer: dict[str, Any], binary: bytes | None) -> dict[str, list[Any]]:
    """Name -> elements, from the JSON or, in its order, from the binary data behind it."""
    found: dict[str, list[Any]] = {}
    at = 0
    try:
        for output in answer["outputs"]:
            if binary is None:
                found[output["name"]] = output["data"]
                continue
            size = output["parameters"]["binary_data_size"]
            found[output["name"]] = _elements(output["datatype"], binary[at : at + size])
            at += size
    except (KeyError, TypeError, ValueError, struct.error):
        raise WrongAnswer("the outputs cannot be read") from None
    return found


def _elements(kind: str, data: bytes) -> list[Any]:
    if kind != "BYTES":
        return [value for (value,) in struct.iter_unpack({"FP32": "<f", "INT32": "<i"}[kind], data)]
    found: list[str] = []
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return found
