"""The kit of the load tests, benchmarks and cluster checks: answers, HTTP messages, memory growth."""

from __future__ import annotations

import pytest

from loadkit.answers import prediction_fault
from loadkit.http1 import LAST_CHUNK, chunk, head, post
from loadkit.texts import LABELS
from loadkit.usage import growth

SCORES = dict(zip(LABELS, (0.1, 0.2, 0.7), strict=True))
RIGHT = {"label": "neither", "score": 0.7, "scores": SCORES}


@pytest.mark.parametrize(
    ("prediction", "says"),
    [
        (RIGHT, None),
        ([], "the prediction is not a JSON object"),
        ({}, "the prediction has no scores"),
        (
            {**RIGHT, "scores": {"a": 1}},
            "the scores' labels are not the model's: a, not hate-speech, offensive-language, neither",
        ),
        ({**RIGHT, "label": "b"}, "the label is not one of the model's: 'b'"),
        ({**RIGHT, "scores": {**SCORES, "neither": True}}, "a score is not between 0 and 1"),
        ({**RIGHT, "scores": {**SCORES, "neither": 0.8}}, "the scores do not sum to 1: 1.1000"),
        ({**RIGHT, "label": "hate-speech"}, "the label is not the one with the best score: 'hate-speech'"),
        ({**RIGHT, "score": 0.2}, "the score is not the best one: 0.2, not 0.7"),
    ],
)
def test_a_fault_of_a_prediction_is_named_with_its_values(prediction: object, says: str | None) -> None:
    """The words before the colon are the same each time, so that faults can be counted by them."""
    fault = prediction_fault(prediction, LABELS)
    assert (None if fault is None else str(fault)) == says
    assert fault is None or fault.text == str(fault).partition(": ")[0]


def test_http_messages_are_exact_bytes() -> None:
    """A head ends with an empty line, a length counts bytes, and a chunk has its size in hexadecimal digits."""
    assert head("GET", "/x", {"A": "1"}) == b"GET /x HTTP/1.1\r\nHost: loadkit\r\nA: 1\r\n\r\n"
    assert post("/", "é".encode()).endswith(b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n\xc3\xa9")
    assert chunk(b"a" * 17) + LAST_CHUNK == b"11\r\n" + b"a" * 17 + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("samples", "flat"), [([50.0], True), ([50, *[60] * 20], True), ([*[50] * 20, 100], False), ([50, 100, *[100] * 18], True)]
)
def test_memory_is_flat_after_the_first_tenth(samples: list[float], flat: bool) -> None:
    """A process may grow while it warms up, and by a tenth and 16 MiB after that."""
    assert growth(samples)[1] is flat
