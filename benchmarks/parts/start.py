"""Cold starts: from spawning a function to its first response, beside ``import torch`` and a
hello-world on the same server.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

from benchmarks.plan import Record, Run
from loadkit import servers
from loadkit.processes import compile_all, ended, first_answer, free_port, get, spawn
from loadkit.texts import TEXT
from loadkit.usage import memory_mib

_BODY = json.dumps({"text": TEXT})
_PHASE = re.compile(r'^function_start_phase_seconds\{phase="(\w+)"\} (\S+)', re.MULTILINE)
#: ``import torch`` is slow, so it is measured once in this many rounds.
_TORCH_EVERY = 4


def measure(run: Run) -> list[Record]:
    """Records by ``what`` (function, hello, torch): ``seconds``; for the function also ``phases``
    and ``memory``.
    """
    records: list[Record] = []
    compile_all()
    with servers.agent() as agent:
        _function(agent.address)
        for number in range(run.plan.spawns):
            run.log(f"cold start {number + 1} of {run.plan.spawns}")
            records += [_function(agent.address), _hello()]
            if number % _TORCH_EVERY == 0:
                records.append(_torch())
    return records


def _function(address: str) -> Record:
    port = free_port()
    began = time.perf_counter()
    with ended(spawn([sys.executable, "-m", "function"], servers.function_settings(address, port))) as process:
        seconds = first_answer(port, "/classify", _BODY) - began
        memory = memory_mib(process.pid)
        phases = {name: float(value) for name, value in _PHASE.findall(get(port, "/metrics"))}
    return {"what": "function", "seconds": seconds, "phases": phases, "memory": memory}


def _hello() -> Record:
    port = free_port()
    began = time.perf_counter()
    with ended(spawn([sys.executable, "docker/hello.py"], {"PORT": str(port)})) as process:
        seconds = first_answer(port, "/", None) - began
        return {"what": "hello", "seconds": seconds, "memory": memory_mib(process.pid)}


def _torch() -> Record:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return {"what": "torch", "seconds": time.perf_counter() - began}
