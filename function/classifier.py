"""The deployment guide's classifier: a file of texts through an agent, a line out for each."""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import click
from tqdm import tqdm

from function.classify import Classifier, Prediction
from function.config import ConfigError, address_of
from function.lines import InputError, arriving, chunks, read_file
from function.load import extras_of
from function.tokens import Encoder
from function.vocab import GUIDE_LABELS, VocabError, guide_signature, read_vocab, tokenizer
from vaccel_rpc.addresses import from_environment
from vaccel_rpc.errors import RpcError
from vaccel_rpc.modelfile import Extras, ModelFileError, digest_beside, program_kind
from vaccel_rpc.remote import ModelSource, RemoteModel

#: Seconds for connecting and, where it must be, sending the model; and for one call.
_CONNECT_S, _CALL_S = 120.0, 60.0

Writer = Callable[[int, str, Prediction, float], str]


@click.command(context_settings={"show_default": True, "max_content_width": 120})
@click.option("-m", "--model", required=True, type=click.Path(path_type=Path), help="The model file (.pt).")
@click.option("-v", "--vocab", type=click.Path(path_type=Path), help="BERT vocabulary, for a model without a tokenizer.")
@click.option(
    "-f", "--file", "source", required=True, help="Texts, one a line; a .csv with a column 'tweet'; - is standard input."
)
@click.option("--batch", default=1, type=click.IntRange(1, 1024), help="Texts sent together.")
@click.option("--jobs", default=1, type=click.IntRange(1, 64), help="Batches in flight.")
@click.option("--format", "form", default="text", type=click.Choice(["text", "jsonl"]), help="The guide's lines, or JSON lines.")
@click.option("--address", help="The agent; default: VACCEL_RPC_ADDRESS.")
def main(model: Path, vocab: Path | None, source: str, batch: int, jobs: int, form: str, address: str | None) -> None:
    """Classifies texts with a model that an agent runs."""
    show = form == "text"
    try:
        lines = None if source == "-" else read_file(Path(source))
        remote, classifier = _open(model, vocab, address)
        if show:
            _say(f"Processing {'' if lines is None else f'{len(lines)} '}lines from: {source}")
            _say("== [Vocab Loaded] ==")
        remote.connect(_CONNECT_S)
        if show:
            _say(f"Created new model resource {remote.resource_id}")
            _say(f"Initialized vAccel session {remote.session_id}")
        _classify(classifier, remote, lines, batch, jobs, _text if show else _json)
    except (ConfigError, InputError, ModelFileError, VocabError) as error:
        _fail(str(error))
    except RpcError as error:
        _fail(f"{error.name}: {error.message}")
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            _end_quietly()
        _fail(f"{error.filename}: {error.strerror}")


def _classify(
    classifier: Classifier, remote: RemoteModel, lines: list[str] | None, batch: int, jobs: int, writer: Writer
) -> None:
    summary = _Summary()
    parts = arriving(batch) if lines is None else chunks(lines, batch)
    progress = tqdm(total=None if lines is None else len(lines), unit="line", file=sys.stderr, disable=not sys.stderr.isatty())
    pool = ThreadPoolExecutor(jobs)
    try:
        with progress:
            for texts, predictions, seconds in _in_order(pool, classifier, parts, jobs):
                for text, prediction in zip(texts, predictions, strict=True):
                    sys.stdout.write(writer(summary.lines + 1, text, prediction, seconds * 1000))
                    summary.add(prediction, seconds)
                sys.stdout.flush()
                progress.update(len(texts))
    except KeyboardInterrupt:
        summary.show("interrupted after ")
        remote.close()
        # The reader of standard input and calls under way would be waited for.
        os._exit(130)
    finally:
        remote.close()
        pool.shutdown(cancel_futures=True)
    summary.show("")


_Done = tuple[list[str], list[Prediction], float]


def _in_order(pool: ThreadPoolExecutor, classifier: Classifier, parts: Iterator[list[str]], jobs: int) -> Iterator[_Done]:
    """Each part's predictions in the order of the parts, ``jobs`` of them in flight."""

    def run(texts: list[str]) -> _Done:
        began = time.perf_counter()
        return texts, classifier.classify(texts, _CALL_S), time.perf_counter() - began

    flying: deque[Future[_Done]] = deque()
    for texts in parts:
        flying.append(pool.submit(run, texts))
        while len(flying) >= jobs:
            yield flying.popleft().result()
    while flying:
        yield flying.popleft().result()


def _open(model: Path, vocab: Path | None, address: str | None) -> tuple[RemoteModel, Classifier]:
    extras = extras_of(model)
    if program_kind(model) is None:
        raise ModelFileError(f"{model} holds no program; a model made by torch.jit.save is needed")
    digest = digest_beside(model)
    remote = RemoteModel(address_of(address or from_environment()), ModelSource(f"sha256:{digest}" if digest else None, model))
    if extras.tokenizer is not None:
        if vocab is not None:
            click.echo(f"note: {model.name} brings its tokenizer; -v {vocab} is ignored", err=True)
        return remote, Classifier.of_file(extras, remote)
    return remote, _foreign(model, vocab, extras, remote)


def _foreign(model: Path, vocab: Path | None, extras: Extras, remote: RemoteModel) -> Classifier:
    if vocab is None:
        raise ModelFileError(f"{model} brings no tokenizer: give its vocabulary with -v")
    tokens = read_vocab(vocab)
    signature = extras.signature or guide_signature(model.stem, tokens["[PAD]"])
    return Classifier(Encoder(tokenizer(tokens), signature), signature, extras.labels or GUIDE_LABELS, remote)


class _Summary:
    """What was classified, for standard error."""

    def __init__(self) -> None:
        self.lines = 0
        self._labels: Counter[str] = Counter()
        self._seconds: list[float] = []
        self._began = time.perf_counter()

    def add(self, prediction: Prediction, seconds: float) -> None:
        """One more line."""
        self.lines += 1
        self._labels[prediction.label] += 1
        self._seconds.append(seconds)

    def show(self, before: str) -> None:
        """Count per label, lines a second, median and 99th percentile of the time a line took."""
        taken = time.perf_counter() - self._began
        labels = ", ".join(f"{label} {count}" for label, count in self._labels.most_common())
        times = ""
        if self._seconds:
            ordered = sorted(self._seconds)
            worst = ordered[math.ceil(0.99 * len(ordered)) - 1]
            times = f"; p50 {1000 * statistics.median(ordered):.1f} ms, p99 {1000 * worst:.1f} ms"
        click.echo(
            f"{before}{self.lines} lines in {taken:.1f} s, {self.lines / taken:.1f} lines/s{times}; {labels or 'none'}", err=True
        )


def _text(line: int, text: str, prediction: Prediction, ms: float) -> str:  # noqa: ARG001 as `_json`
    return f"Line {line}: Duration: {ms:.6g} ms Prediction: {prediction.label}\n"


def _json(line: int, text: str, prediction: Prediction, ms: float) -> str:
    shown: dict[str, Any] = {"line": line, "text": text, "label": prediction.label, "score": prediction.score}
    shown |= {"scores": prediction.scores, "tokens": prediction.tokens, "truncated": prediction.truncated, "ms": round(ms, 3)}
    return json.dumps(shown) + "\n"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _fail(message: str) -> NoReturn:
    click.echo(f"vaccel-classifier: {message}", err=True)
    sys.exit(1)


def _end_quietly() -> NoReturn:
    """Whoever read the output has had enough; what is left in the buffer must not be tried again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


if __name__ == "__main__":
    main(prog_name="vaccel-classifier")
