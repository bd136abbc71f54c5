"""What is around the model: the CPU time of function and agent for a text under load, less that of
the same form of the model alone on one thread, at the mean batch size of the load.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path

from benchmarks import form_alone, load, stacks
from benchmarks.plan import Record, Run
from benchmarks.texts import single
from benchmarks.torch_alone import MODEL
from loadkit import servers
from loadkit.processes import get
from loadkit.usage import thread_seconds
from vaccel_common.digestfile import digest_beside
from vaccel_common.modelfile import read_extras

_CLIENTS = 32
_EXACT, _INT8 = "exact", "int8"
#: Thread of a process -> what it is called.
_THREADS = ("event loop", "other threads")


@dataclass(frozen=True)
class _Form:
    """A form of the model: its name, and the agent's options that choose it."""

    name: str
    options: tuple[str, ...]


def measure(run: Run) -> list[Record]:
    """A record for each form and repeat: ``form``; ``rows`` and ``padding`` of its batches (mean, and
    a share of the tokens); ``ms``, CPU by process and thread; ``alone_ms`` and ``beside_ms``, the
    model's on one thread by itself and beside one more; and ``stacks``, the shares of threads and parts in those samples
    of each process in which a thread holds Python's lock.
    """
    with contextlib.ExitStack() as running:
        pairs = {form: running.enter_context(_pair(form)) for form in _forms()}
        return [
            {"form": form.name, "repeat": repeat, **_measure(run, form, *pair, repeat)}
            for repeat in range(run.plan.repeats)
            for form, pair in pairs.items()
        ]


def _forms() -> list[_Form]:
    forms = [_Form(_EXACT, ())]
    file = MODEL.with_name(f"{MODEL.stem}.{_INT8}{MODEL.suffix}")
    if file.exists() and (variant := read_extras(file).variant) and variant.precision == _INT8:
        forms.append(_Form(_INT8, ("--precision", "fast")))
    return forms


@contextlib.contextmanager
def _pair(form: _Form) -> Iterator[tuple[servers.AgentProcess, servers.FunctionProcess]]:
    with servers.agent(options=form.options) as agent, servers.function(agent.address) as function:
        yield agent, function


def _measure(run: Run, form: _Form, agent: servers.AgentProcess, function: servers.FunctionProcess, repeat: int) -> Record:
    run.log(f"{form.name}, repeat {repeat + 1} of {run.plan.repeats}")
    messages = single("/classify", [(text, 0) for text in run.texts])
    pids = {"function": function.pid, "agent": agent.pid}
    load.run(load.LoadJob([function.port], messages, _CLIENTS, run.plan.warm))
    batches, before = _batches(agent.metrics), {name: thread_seconds(pid) for name, pid in pids.items()}
    outcome = load.run(load.LoadJob([function.port], messages, _CLIENTS, run.plan.seconds), {})
    after, batches = {name: thread_seconds(pid) for name, pid in pids.items()}, _batches(agent.metrics) - batches
    count = sum(answer.status == 200 for answer in outcome.answers)
    ms = {
        f"{name}, {thread}": 1000 * (end - start) / count
        for name in pids
        for thread, start, end in zip(_THREADS, before[name], after[name], strict=True)
    }
    rows = batches["size_sum"] / batches["size_count"]
    job = form_alone.FormJob(str(_serving(function.port)), run.texts, sorted({floor(rows), ceil(rows)}), run.plan.seconds / 2)
    alone, beside = (form_alone.at(form_alone.measure(job, processes), rows) for processes in (1, 2))
    padding = batches["padding_tokens_total"] / batches["tokens_total"]
    sampled = {name: _sampled(run, function.port, messages, pid) for name, pid in pids.items()}
    rate = outcome.summary(0, run.plan.seconds)["rate"]
    return {"rows": rows, "padding": padding, "rate": rate, "ms": ms, "alone_ms": alone, "beside_ms": beside, "stacks": sampled}


def _serving(port: int) -> Path:
    """The file that answers: of the forms of a model, the agent runs the quickest."""
    body = json.dumps({"text": "A cup of tea"}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/classify", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        model = json.load(response)["model"]
    digest = model.get("variant", model["sha256"])
    files = (path for path in MODEL.parent.iterdir() if path.suffix in (".pt", ".onnx"))
    return next(path for path in files if digest_beside(path) == digest)


def _sampled(run: Run, port: int, messages: list[tuple[str, int]], pid: int) -> dict[str, float]:
    """The shares of a process's threads and parts, sampled under load."""
    sender = threading.Thread(target=load.run, args=(load.LoadJob([port], messages, _CLIENTS, run.plan.seconds + 1),))
    sender.start()
    try:
        return stacks.shares(pid, run.plan.seconds, "--gil")
    except subprocess.CalledProcessError as error:
        run.log(f"py-spy cannot sample process {pid}, which is left out: {error.stderr.decode().strip()[:200]}")
        return {}
    finally:
        sender.join()


def _batches(port: int) -> Counter[str]:
    """The agent's counters of batches."""
    found = re.findall(
        r"^vaccel_batch_(size_sum|size_count|tokens_total|padding_tokens_total) (\S+)", get(port, "/metrics"), re.MULTILINE
    )
    return Counter({name: float(value) for name, value in found})
