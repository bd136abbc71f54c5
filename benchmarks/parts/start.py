"""Cold starts: a spawned function's first answer, beside ``import torch`` and a Flask application that says hello."""

from __future__ import annotations

import compileall
import http.client
import json
import re
import subprocess
import sys
import time

from benchmarks import targets
from benchmarks.plan import Record, Run
from benchmarks.processes import ROOT, ended, free_port, get, memory_mib, start

_BODY = json.dumps({"text": "What a lovely day for a walk in the park"})
_PHASE = re.compile(r'^function_start_phase_seconds\{phase="(\w+)"\} (\S+)', re.MULTILINE)
#: ``import torch`` is slow: it is measured so much more rarely.
_TORCH_EVERY = 4


def measure(run: Run) -> list[Record]:
    """Records by ``what`` (function, flask, torch): ``seconds``; of the function ``phases`` and ``memory`` too."""
    found: list[Record] = []
    # As the images have it: what has just been edited is not to be compiled at every start.
    for package in ("function", "vaccel_common", "vaccel_rpc"):
        compileall.compile_dir(ROOT / package, quiet=1)
    with targets.agent("unix://") as (address, _):
        _function(address)
        for number in range(run.plan.spawns):
            run.say(f"cold start {number + 1} of {run.plan.spawns}")
            found += [_function(address), _flask()]
            if number % _TORCH_EVERY == 0:
                found.append(_torch())
    return found


def _function(address: str) -> Record:
    port = free_port()
    began = time.perf_counter()
    with ended(start("function", VACCEL_RPC_ADDRESS=address, PORT=str(port), HOST="127.0.0.1", LOG_LEVEL="error")) as process:
        seconds = _answered(port, "/classify", _BODY) - began
        memory = memory_mib(process.pid)
        phases = {name: float(value) for name, value in _PHASE.findall(get(port, "/metrics"))}
    return {"what": "function", "seconds": seconds, "phases": phases, "memory": memory}


def _flask() -> Record:
    port = free_port()
    began = time.perf_counter()
    with ended(start("benchmarks.hello", PORT=str(port))) as process:
        seconds = _answered(port, "/", None) - began
        return {"what": "flask", "seconds": seconds, "memory": memory_mib(process.pid)}


def _torch() -> Record:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return {"what": "torch", "seconds": time.perf_counter() - began}


def _answered(port: int, path: str, body: str | None) -> float:
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("POST" if body else "GET", path, body, {"Content-Type": "application/json"} if body else {})
            assert connection.getresponse().status == 200
            return time.perf_counter()
        except ConnectionRefusedError:
            time.sleep(0.002)
