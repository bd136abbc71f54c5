"""A model file, served over HTTP by function and agent, against transformers' own pipeline of the folder that it was made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import transformers

from tests.support.functions import function_of, post, wait_until_ready
from tests.support.servers import ServerProcess, SpawnAgent
from vaccel_common.modelfile import Signature, read_extras

PLATFORMS = {".pt": "pytorch_torchscript", ".pt2": "pytorch_export", ".onnx": "onnxruntime_onnx"}
#: Short, long, of unknown words, in several scripts; a request mixes them.
TEXTS: list[Any] = [
    "tea", "the cake was very good", "not bad not bad " * 20, "we was late again, the train is bad", "qwertz zxcvb", "🙂🎉 🙂",
    "你好世界 今天", "日本語 の 文", "한국어", "мы и поезд", "שלום אבג", "क ख ग", "THE CAKE WAS GOOD", "a", "two  spaces\ttab\nline", "the " * 80,
]  # fmt: skip
#: Pairs in mixed batches: short, long on either side and both, of several scripts, of known and unknown words.
PAIRS: list[Any] = [
    {"text": "the cake is good", "text_pair": "we was late"},
    {"text": "tea", "text_pair": "the train is very late again " * 20},
    {"text": "the train is very late again " * 20, "text_pair": "not good"},
    {"text": "the tea was very bad " * 15, "text_pair": "the cake was not bad " * 16},
    {"text": "😀🎉", "text_pair": "the cake 🎉"},
    {"text": "你好世界", "text_pair": "今天天氣好"},
    {"text": "日本語", "text_pair": "한국어 日本"},
    {"text": "бди кот", "text_pair": "शाम मन"},
    {"text": "zzz qqq", "text_pair": "[SEP] the [CLS] </s>"},
    {"text": "e\u0301té", "text_pair": "l'été, 3.14!"},
]


def check_served(spawn_agent: SpawnAgent, file: Path, folder: Path, log: Path) -> None:
    """Each of `TEXTS` and, where the file takes pairs, of `PAIRS`, all in one request: to 1e-4 what the pipeline says.

    ``log``: a folder for the function's log.
    """
    extras = read_extras(file)
    assert extras.signature
    assert extras.signature.max_length
    assert extras.labels
    texts = taken(extras.signature)
    agent = spawn_agent("--models", str(file.parent), "--preload", file.name)
    with served(agent, file, log) as function:
        metadata = requests.get(f"{function.addresses['http']}/v2/models/{file.stem}", timeout=30).json()
        answers = post(function, {"texts": texts, "top_k": len(extras.labels)}).json()["predictions"]
    assert metadata["platform"] == PLATFORMS[file.suffix]
    check_scores(texts, [answer["scores"] for answer in answers], right(folder, texts, max_length=extras.signature.max_length))


def taken(signature: Signature) -> list[Any]:
    """What of texts and pairs a model takes."""
    return {"refused": TEXTS, "required": PAIRS}.get(signature.pairs or "refused", [*TEXTS, *PAIRS])


@contextmanager
def served(agent: ServerProcess, file: Path, log: Path) -> Iterator[ServerProcess]:
    """A ready function of the file."""
    with function_of(log, agent.addresses["unix"], MODEL=str(file)) as function:
        wait_until_ready(function)
        yield function


def right(folder: Path, texts: Sequence[Any], *, max_length: int = 64, **options: Any) -> list[dict[str, float]]:
    """The scores of transformers' own pipeline, one text at a time. ``options``: of the tokenizer."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
    classify = transformers.pipeline("text-classification", model=str(folder), tokenizer=tokenizer, dtype="float32")
    answers = [classify(text, top_k=None, truncation=True, max_length=max_length) for text in texts]
    return [{row["label"]: row["score"] for row in answer} for answer in answers]


def check_scores(texts: Sequence[Any], scores: Sequence[dict[str, float]], expected: Sequence[dict[str, float]]) -> None:
    """Fails with the first text whose labels or scores, to 1e-4, are others."""
    for text, answer, row in zip(texts, scores, expected, strict=True):
        assert answer.keys() == row.keys(), text
        for label, score in answer.items():
            assert score == pytest.approx(row[label], abs=1e-4, rel=1e-4), text
