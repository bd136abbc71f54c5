"""Checks of answers under load: a fast wrong answer is a failure. No Locust, no HTTP."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from typing import Any

from function.core.texts import Text
from loadkit.answers import prediction_fault, scores_fault

#: How far scores and logits may be from those of an earlier answer to the text: other texts in its
#: batch change the last digits.
_SCORE_TOLERANCE, _LOGIT_TOLERANCE = 0.05, 0.5


class WrongAnswer(Exception):
    """What is wrong with an answer, in words that are the same each time it happens: Locust counts
    failures by them.
    """


class AnswerChecker:
    """Knows the labels and the earlier answers to each text: an answer to another text is
    recognized by its values.

    Every method raises `WrongAnswer`.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = list(labels)
        self._tokens: dict[tuple[str, Text], int] = {}
        self._values: dict[tuple[str, str, Text], list[float]] = {}

    def one(self, text: Text, body: bytes | str) -> None:
        """Checks the answer to one text."""
        answer = parsed(body)
        self.prediction(text, answer, _model(answer))

    def many(self, texts: Sequence[Text], body: bytes | str) -> None:
        """Checks the answer to several texts: a prediction for each, in their order."""
        answer = parsed(body)
        predictions = answer.get("predictions")
        if not isinstance(predictions, list) or len(predictions) != len(texts):
            raise WrongAnswer("the number of predictions is not the number of texts")
        for text, prediction in zip(texts, predictions, strict=True):
            self.prediction(text, prediction, _model(answer))

    def line(self, number: int, text: Text, line: bytes) -> None:
        """Checks the answer to line ``number``, whose id is its number."""
        answer = parsed(line)
        if "error" in answer:
            raise WrongAnswer(f"a line was refused: {_short(answer['error'])}")
        if answer.get("line") != number or answer.get("id") != number:
            raise WrongAnswer("a line's answer is out of order")
        self.prediction(text, answer, "")

    def prediction(self, text: Text, prediction: Any, model: str) -> None:
        """Checks one prediction as JSON has it."""
        if fault := prediction_fault(prediction, self._labels):
            raise WrongAnswer(fault.text)
        if list(prediction["scores"]) != self._labels:
            raise WrongAnswer("the scores are not in the order of the model's labels")
        self._check_unchanged(text, list(prediction["scores"].values()), prediction.get("tokens"), model)

    def inference(self, texts: Sequence[Text], head: bytes | str, binary: bytes | None = None) -> None:
        """Checks an answer of the Open Inference Protocol with label, scores and tokens;
        ``binary``: what follows its JSON.
        """
        answer = parsed(head)
        outputs = _outputs(answer, binary)
        labels, scores, tokens = (outputs.get(name, []) for name in ("label", "scores", "tokens"))
        width = len(self._labels)
        if (len(labels), len(scores), len(tokens)) != (len(texts), width * len(texts), len(texts)):
            raise WrongAnswer("the number of elements of an output does not match the number of texts")
        for i, text in enumerate(texts):
            row = scores[width * i : width * (i + 1)]
            if fault := scores_fault(labels[i], self._labels, row):
                raise WrongAnswer(fault.text)
            self._check_unchanged(text, row, tokens[i], f"v2 {answer.get('model_name')}")

    def logits(self, text: Text, values: Sequence[float]) -> None:
        """Checks what the model itself returned for a text, over the RPC."""
        if len(values) != len(self._labels):
            raise WrongAnswer("the number of logits is not the number of labels")
        if not all(math.isfinite(value) for value in values):
            raise WrongAnswer("a logit is not a finite number")
        self._compare(text, "logits", "", values, _LOGIT_TOLERANCE)

    def _check_unchanged(self, text: Text, scores: Sequence[float], tokens: Any, model: str) -> None:
        if not isinstance(tokens, int) or tokens != self._tokens.setdefault((model, text), tokens):
            raise WrongAnswer("the answer is another text's: its number of tokens is not the one that the text had before")
        self._compare(text, "scores", model, scores, _SCORE_TOLERANCE)

    def _compare(self, text: Text, kind: str, model: str, values: Sequence[float], tolerance: float) -> None:
        before = self._values.setdefault((kind, model, text), list(values))
        if any(abs(value - old) > tolerance for value, old in zip(values, before, strict=True)):
            raise WrongAnswer(f"the answer is another text's: its {kind} are not those that the text had before")


def parsed(body: bytes | str) -> dict[str, Any]:
    """The JSON object in ``body``. Raises `WrongAnswer`."""
    try:
        answer = json.loads(body)
    except ValueError:
        raise WrongAnswer("the answer is not valid JSON") from None
    if not isinstance(answer, dict):
        raise WrongAnswer("the answer is not a JSON object")
    return answer


def problem(status: int, body: bytes | str) -> str:
    """An error response in a few words: its status, and the detail where the body is a problem (RFC
    9457).
    """
    try:
        return f"{status}: {_short(parsed(body))}"
    except WrongAnswer:
        return f"{status}, without a problem's detail"


def _short(error: Any) -> str:
    detail = error.get("detail", error.get("error", "")) if isinstance(error, dict) else error
    return str(detail)[:100]


def _model(answer: dict[str, Any]) -> str:
    model = answer.get("model")
    return str(model.get("sha256")) if isinstance(model, dict) else ""


def _outputs(answer: dict[str, Any], binary: bytes | None) -> dict[str, list[Any]]:
    """Name -> elements, from the JSON or, in its order, from the binary data behind it."""
    outputs: dict[str, list[Any]] = {}
    offset = 0
    try:
        for output in answer["outputs"]:
            if binary is None:
                outputs[output["name"]] = output["data"]
                continue
            size = output["parameters"]["binary_data_size"]
            outputs[output["name"]] = _elements(output["datatype"], binary[offset : offset + size])
            offset += size
    except (KeyError, TypeError, ValueError, struct.error):
        raise WrongAnswer("the outputs cannot be decoded") from None
    return outputs


def _elements(datatype: str, data: bytes) -> list[Any]:
    if datatype != "BYTES":
        return [value for (value,) in struct.iter_unpack({"FP32": "<f", "INT32": "<i"}[datatype], data)]
    elements: list[str] = []
    offset = 0
    while offset < len(data):
        (length,) = struct.unpack_from("<I", data, offset)
        elements.append(data[offset + 4 : offset + 4 + length].decode())
        offset += 4 + length
    return elements
