"""The deployment guide's classifier: a file of texts through an agent, a line out for each."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click
from tqdm import tqdm

from function.cli import vaccellog
from function.cli.config import ClassifierConfig
from function.cli.interrupts import Interrupted, Interrupts
from function.cli.lines import InputLine, form_of, read_input, standard_input
from function.cli.model import open_model
from function.cli.pairs import fitting
from function.cli.profiling import ClientProfile
from function.cli.results import RunSummary, as_json, as_text, why
from function.cli.vocab import VocabError
from function.core.classifier import Classification, Classifier, Item, Prediction
from function.core.options import Options, Unusable, read_options
from function.core.stream import Arriving, in_order
from vaccel_common import commandline, streams
from vaccel_common.log import escaped
from vaccel_common.modelfile import ModelFileError
from vaccel_common.options import declared
from vaccel_common.textfile import TextFileError
from vaccel_rpc import __version__
from vaccel_rpc.errors import RpcError, Unavailable
from vaccel_rpc.remote import RemoteModel

_log = logging.getLogger(__name__)

#: Seconds for connecting and, where it must be, sending the model; and for one call.
_CONNECT_S, _CALL_S = 120.0, 60.0
#: Seconds between tries while the agent is waited for.
_PAUSE_S = 0.1
#: Lines that are read before they are wanted.
_AHEAD = 4096

Writer = Callable[[InputLine, Item, float], str]
Form = Callable[[InputLine, Item, float, Options], str]


@click.command(cls=commandline.ToolCommand, context_settings={"show_default": True, "max_content_width": 120})
@commandline.options(ClassifierConfig)
@commandline.options(Options)
def main(**values: Any) -> None:
    """Classifies texts with a model that an agent runs."""
    interrupts = Interrupts()
    names = {option.name for option in declared(Options)}
    config = ClassifierConfig(**{name: value for name, value in values.items() if name not in names})
    try:
        vaccellog.configure(config.log_level, config.log_file)
        _run(config, read_options({name: values[name] for name in names}), interrupts)
        sys.stdout.flush()
    except Interrupted as interrupted:
        # The reader of standard input and calls under way would be waited for.
        os._exit(interrupted.code)
    except BrokenPipeError:
        # Whoever read the output has had enough.
        streams.give_up_output()
        sys.exit(0)
    except (ModelFileError, OSError, RpcError, TextFileError, Unusable, VocabError) as error:
        # Standard error has the line below; a log without a handler is one that cannot be written.
        if config.log_file and _log.hasHandlers():
            _log.error("%s", _reason(error))
        _fail(_reason(error))


def _reason(error: Exception) -> str:
    if isinstance(error, RpcError):
        return f"{error.name}: {error.message}"
    if isinstance(error, OSError):
        return streams.reason(error)
    return str(error)


def _run(config: ClassifierConfig, options: Options, interrupts: Interrupts) -> None:
    _log.info("vaccel-classifier %s", __version__)
    _log.debug("Config:")
    for option in declared(ClassifierConfig):
        value = getattr(config, option.name)
        _log.debug("  %s = %s", option.flag.lstrip("-").replace("-", "_"), "(none)" if value is None else option.kind.show(value))
    with _interrupt_told():
        lines = _lines(config)
        remote, classifier = open_model(config.model, config.vocab, config.agents, config.dialect)
        _start(config, lines, remote)
    form: Form = as_text if config.form == "text" else as_json
    writer: Writer = lambda line, item, ms: form(line, item, ms, options)  # noqa: E731
    _classify(classifier, remote, lines, config, writer, options, interrupts)


@contextlib.contextmanager
def _interrupt_told() -> Iterator[None]:
    """Before there is a summary, an interrupt has a line of its own."""
    try:
        yield
    except KeyboardInterrupt:
        streams.tell("vaccel-classifier: interrupted")
        raise


def _start(config: ClassifierConfig, lines: list[InputLine] | None, remote: RemoteModel) -> None:
    """Connects, with the guide's first lines. Raises `RpcError`."""
    show = config.form == "text"
    if show:
        _say(f"Processing {'' if lines is None else f'{len(lines)} '}lines from: {config.source}")
        _say("== [Vocab Loaded] ==")
    _connect(remote, config.wait)
    if show and (link := remote.link):
        _say(f"vaccel_resource_new(): Time Taken: {link.registering_ns} nanoseconds")
        _say(f"Created new model resource {link.model.resource}")
        _say(f"Initialized vAccel session {link.session}")


def _lines(config: ClassifierConfig) -> list[InputLine] | None:
    """The texts or pairs of the file; None for standard input."""
    return None if config.source == "-" else read_input(Path(config.source), config.input, config.column, config.pair_column)


def _classify(
    classifier: Classifier,
    remote: RemoteModel,
    lines: list[InputLine] | None,
    config: ClassifierConfig,
    writer: Writer,
    options: Options,
    interrupts: Interrupts,
) -> None:
    summary, profile = RunSummary(), ClientProfile()
    profile.add("register", remote.link.registering_ns / 1e9 if remote.link else 0.0)
    form = config.input or form_of(Path(config.source))
    source = standard_input(form, config.column, config.pair_column) if lines is None else lines
    arriving = Arriving[InputLine](source, _AHEAD)
    progress = tqdm(total=None if lines is None else len(lines), unit="line", file=sys.stderr, disable=not sys.stderr.isatty())

    def run(part: list[InputLine]) -> _Done:
        began = time.perf_counter()
        texts = [fitting(line.text, classifier.pairs, form, config.pair_column) for line in part]
        return part, classifier.classify(texts, _CALL_S, options), time.perf_counter() - began

    try:
        with progress:
            for part, done, seconds in in_order(arriving, run, size=config.batch, jobs=config.jobs):
                profile.add("tokenize", done.spent.tokenize)
                profile.add("run", done.spent.rpc)
                with _advancing(progress, len(part)), interrupts.held():
                    for line, item in zip(part, done.items, strict=True):
                        if not isinstance(item, Prediction) and options.errors == "request":
                            raise Unusable(f"line {line.number}: {why(item)}")
                        sys.stdout.write(writer(line, item, seconds * 1000))
                        sys.stdout.flush()
                        summary.add(item, seconds)
        if config.profiling:
            profile.log(remote)
    except KeyboardInterrupt:
        summary.show("interrupted after ")
        raise
    finally:
        remote.close()
    summary.show("")


@contextlib.contextmanager
def _advancing(progress: tqdm[NoReturn], count: int) -> Iterator[None]:
    """Results are written, and then the bar moves on by as many; on one terminal it is not on their lines."""
    shared = sys.stdout.isatty() and not progress.disable
    if shared:
        progress.clear()
    yield
    progress.update(count)
    if shared:
        progress.refresh()


def _connect(remote: RemoteModel, wait: float) -> None:
    """Connects, trying for ``wait`` seconds while nobody listens. Raises `RpcError`."""
    end = time.monotonic() + wait
    waiting = False
    while True:
        try:
            return remote.connect(_CONNECT_S)
        except Unavailable as error:
            if time.monotonic() >= end:
                raise
            if not waiting:
                _log.warning("%s; trying again for %.4g s", error.message, wait)
            waiting = True
            time.sleep(_PAUSE_S)


_Done = tuple[list[InputLine], Classification, float]


def _say(line: str) -> None:
    sys.stdout.write(escaped(line) + "\n")
    sys.stdout.flush()


def _fail(message: str) -> NoReturn:
    streams.end_output()
    streams.tell(f"vaccel-classifier: {escaped(message)}")
    sys.exit(1)
