"""What the way to the agent and back costs: a model that gives back its input, beside a plain unix socket that does so."""

from __future__ import annotations

import functools
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import echo
from benchmarks.plan import Record, Run
from benchmarks.rpc import ModelClient
from loadkit import servers
from loadkit.processes import ROOT, ended
from loadkit.stats import milliseconds
from loadkit.usage import cpu_seconds
from vaccel_rpc.tensors import Tensor

_SCHEMES = {"unix": "ttrpc, unix", "tcp": "ttrpc, tcp", "grpc+unix": "gRPC, unix", "grpc": "gRPC, tcp"}
#: Name, and the tensor: an int64, 64 kB, 16 MiB.
SIZES = {"1 int": ("int64", 1, 8), "64 kB": ("uint8", 64_000, 64_000), "16 MiB": ("uint8", 16 << 20, 16 << 20)}
_LEAST = 5


def measure(run: Run) -> list[Record]:
    """Records by ``way`` and ``size``: milliseconds, GB/s of what goes and comes together, CPU of the agent."""
    with tempfile.TemporaryDirectory() as folder:
        echo.save(Path(folder))
        places = [
            f"{scheme}://{folder}/{scheme}.sock" if "unix" in scheme else servers.free_address(scheme) for scheme in _SCHEMES
        ]
        more = [part for place in places[1:] for part in ("-a", place)]
        found: list[Record] = []
        with servers.agent(places[0], more, models=folder, preload="echo0") as agent:
            for repeat in range(run.plan.repeats):
                for place, way in zip(places, _SCHEMES.values(), strict=True):
                    run.log(f"{way}, repeat {repeat + 1} of {run.plan.repeats}")
                    found += [{"way": way, "repeat": repeat, **record} for record in _way(run, place, agent.pid)]
                found += [{"way": "plain socket", "repeat": repeat, **record} for record in _plain(run, folder)]
    return found


def _way(run: Run, place: str, pid: int) -> Iterator[Record]:
    with ModelClient(place, "echo0") as client:
        for name, (dtype, count, size) in SIZES.items():
            call = functools.partial(client.run, [Tensor(dtype, (count,), bytes(size))])
            before = cpu_seconds(pid)
            durations = repeated(call, run.plan.hop_seconds)
            yield {**_record(name, size, durations), "agent_ms": 1000 * (cpu_seconds(pid) - before) / len(durations)}


def _plain(run: Run, folder: str) -> Iterator[Record]:
    path = f"{folder}/plain.sock"
    Path(path).unlink(missing_ok=True)
    with ended(subprocess.Popen([sys.executable, "-m", "benchmarks.echo", path], cwd=ROOT)):
        client = _connected(path)
        with client, client.makefile("rb", buffering=1 << 20) as file:
            for name, (_, _, size) in SIZES.items():
                data = size.to_bytes(8) + bytes(size)

                def once(data: bytes = data, size: int = size) -> None:
                    client.sendall(data)
                    assert len(file.read(size)) == size

                yield _record(name, size, repeated(once, run.plan.hop_seconds))


def _connected(path: str) -> socket.socket:
    while True:
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(path)
            return client
        except OSError:
            client.close()
            time.sleep(0.02)


def repeated(call: Callable[[], object], seconds: float) -> list[float]:
    """Seconds of each call, for so long and at least some times; the first ones are left out."""
    for _ in range(_LEAST):
        call()
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken) < _LEAST:
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return taken


def _record(name: str, size: int, durations: list[float]) -> Record:
    figures = milliseconds(durations)
    return {"size": name, **figures, "gb_s": 2 * size / figures["median_ms"] / 1e6, "count": len(durations)}
