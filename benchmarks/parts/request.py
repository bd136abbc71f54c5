"""The function's CPU time for a request, in microseconds: the whole under load, and each part by
calling it alone.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from statistics import median
from typing import Any, Generic, TypeVar, cast

from tokenizers import Tokenizer

from benchmarks import load
from benchmarks.lines import tiny
from benchmarks.plan import Record, Run
from benchmarks.texts import single
from function.core.answers import answer
from function.core.classifier import Classification, Classifier, Prepared
from function.core.options import Options
from function.core.request import RequestLimits, of_object, parse_json
from function.core.service import ClassifyService, CountedSemaphore
from function.core.tokens import Encoder
from function.load import extras_of
from function.telemetry.access import Access
from function.telemetry.metrics import FunctionMetrics
from function.web.direct import DirectAnswers
from function.web.http import in_json
from loadkit import servers
from loadkit.processes import ended, free_port, spawn, wait_for
from vaccel_common import log
from vaccel_rpc.awaiting import AwaitedRuns
from vaccel_rpc.client import RunResult
from vaccel_rpc.history import AgentState
from vaccel_rpc.pool.targets import parse_targets
from vaccel_rpc.registering import ModelSource
from vaccel_rpc.remote import RemoteModel

Item = TypeVar("Item")
Result = TypeVar("Result")

_CLIENTS = 32
_BATCHES = 5
_LIMITS = RequestLimits(128, 10_000, 1 << 20)
_SERVER, _APP = "HTTP server: frame, gather", "answer: request, response, headers, id, times"


def measure(run: Run) -> list[Record]:
    """Records of ``what`` (``part`` of the ``whole``, or ``beside`` it) in ``us``; of a ``json``
    library: ``loads``, ``dumps`` in us.
    """
    records: list[Record] = []
    with tempfile.TemporaryDirectory() as folder:
        model = tiny(Path(folder) / "tiny.pt")
        with servers.agent(models=folder, preload="tiny") as agent:
            for repeat in range(run.plan.repeats):
                run.log(f"a request, repeat {repeat + 1} of {run.plan.repeats}")
                records.append({"what": "whole", "us": _whole(run, agent.address, model), "repeat": repeat})
                records.append({"what": "part", "part": _SERVER, "us": _server(run), "repeat": repeat})
                records += [{**record, "repeat": repeat} for record in _parts(run, agent.address, model)]
                records += [{**record, "repeat": repeat} for record in _json(run)]
    return records


def _whole(run: Run, place: str, model: Path) -> float:
    with servers.function(place, {"MODEL": str(model)}) as function:
        return _loaded(run, function.port, function.pid)


def _server(run: Run) -> float:
    port = free_port()
    with ended(spawn([sys.executable, "-m", "benchmarks.bare"], {"PORT": str(port)})) as process:
        wait_for(port, "/")
        return _loaded(run, port, process.pid)


def _loaded(run: Run, port: int, pid: int) -> float:
    messages = single("/classify", [(text, 0) for text in run.texts])
    load.run(load.LoadJob([port], messages, _CLIENTS, run.plan.warm))
    return 1000 * load.run(load.LoadJob([port], messages, _CLIENTS, run.plan.seconds), {"function": [pid]}).cpu_ms()["function"]


def _parts(run: Run, place: str, model: Path) -> Iterator[Record]:
    extras = extras_of(model)
    assert extras.signature
    assert extras.tokenizer
    texts = _Turns(run.texts)
    encoder = Encoder(extras.tokenizer, extras.signature)
    tokenizer = Tokenizer.from_buffer(extras.tokenizer)
    tokenizer.enable_truncation(extras.signature.max_length)
    remote = RemoteModel(parse_targets(place), ModelSource("tiny"))
    inputs = _Turns([encoder.encode([text])[0].windows for text in run.texts])
    ran = remote.run_timed(inputs(), 1)
    classifier = Classifier.of_file(extras, _Instant(ran))
    classified = classifier.classify([texts()])
    service = _service(classifier)
    bodies = _Turns([json.dumps({"text": text}).encode() for text in run.texts])
    data = _Turns([{"text": text} for text in run.texts])
    metrics = FunctionMetrics(service)

    def counted() -> None:
        metrics.request("/classify", 200, 0.01)
        metrics.classified(classified)

    encoding = _us(lambda: tokenizer.encode_batch_fast([texts()]))
    encoded = _us(lambda: encoder.encode([texts()]))
    parts = {
        "JSON of the body": _us(lambda: parse_json(bodies())),
        "validation, options": _us(lambda: of_object(data(), _LIMITS, {})),
        "tokenizer": encoding,
        "tensors": encoded - encoding,
        "RPC: encode, send, receive, decode": _us(lambda: remote.run_timed(inputs(), 1, 20), time.process_time),
        "scores": _us(lambda: classifier.classify([texts()])) - encoded,
        "JSON of the answer": _us(lambda: in_json(answer(classified.items, Options(), service.model, many=False))),
        "metrics": _us(counted),
    }
    remote.close()
    inside = [parts[name] for name in ("JSON of the body", "validation, options", "JSON of the answer", "metrics")]
    quiet, loud = _application(service, bodies, classified)
    for name, us in {_APP: quiet - sum(inside), **parts}.items():
        yield {"what": "part", "part": name, "us": us}
    yield {"what": "beside", "part": "a line in the log, LOG_LEVEL=info", "us": loud - quiet}


def _application(service: ClassifyService, bodies: Callable[[], bytes], classified: Classification) -> Iterator[float]:
    """The application with a classifier that returns at once: with a log of errors alone, and with
    one of every request.
    """
    service.classifier.prepare = lambda *_: Prepared([], [], 0, 0)  # type: ignore[method-assign]
    service.classifier.finish = lambda *_: classified  # type: ignore[method-assign]

    direct = DirectAnswers(service, Access(service), cast(AwaitedRuns, None))
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/classify",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }

    def call() -> None:
        response = _finished(direct(scope, bodies()))
        assert isinstance(response, tuple)
        response[3]()

    for level in ("error", "info"):
        log.configure("text", level, os.devnull)
        yield _us(call)
    logging.getLogger().handlers.clear()


def _finished(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        result: Result = finished.value
        return result
    raise AssertionError("it waits for something")


def _json(run: Run) -> Iterator[Record]:
    bodies = _Turns([json.dumps({"text": text}).encode() for text in run.texts])
    scores = {"hate-speech": 0.0012345678901234, "offensive-language": 0.0087654321098765, "neither": 0.9900000000000001}
    body = {
        "label": "neither",
        "score": scores["neither"],
        "scores": scores,
        "tokens": 40,
        "model": {"name": "m", "sha256": "0" * 64},
    }
    encode = json.JSONEncoder(separators=(",", ":")).encode
    yield {"json": "json", "loads": _us(lambda: json.loads(bodies())), "dumps": _us(lambda: encode(body).encode())}
    try:
        other = importlib.import_module("orjson")
    except ImportError:
        run.log("orjson is not installed and is left out")
        return
    yield {"json": "orjson", "loads": _us(lambda: other.loads(bodies())), "dumps": _us(lambda: other.dumps(body))}


def _service(classifier: Classifier) -> ClassifyService:
    agents = [AgentState("unix:///tmp/a.sock", "ready", 0)]
    model: dict[str, str | None] = {"name": "tiny", "sha256": "0" * 64}
    return ClassifyService(
        classifier, model, _LIMITS, 20.0, CountedSemaphore(128), CountedSemaphore(32), lambda: None, lambda: agents, {}
    )


def _us(call: Callable[[], object], clock: Callable[[], float] = time.thread_time, count: int = 400) -> float:
    """Microseconds of CPU time for a call: the median of several batches."""
    durations = []
    for _ in range(_BATCHES + 1):
        began = clock()
        for _ in range(count):
            call()
        durations.append((clock() - began) / count * 1e6)
    return median(durations[1:])


class _Turns(Generic[Item]):
    """Returns the items in turn, again and again."""

    def __init__(self, items: list[Item]) -> None:
        self._items, self._next = items, 0

    def __call__(self) -> Item:
        self._next = (self._next + 1) % len(self._items)
        return self._items[self._next]


class _Instant:
    def __init__(self, ran: list[RunResult]) -> None:
        self._ran = ran

    def run_each(self, *_: Any, **__: Any) -> list[RunResult]:
        return self._ran
