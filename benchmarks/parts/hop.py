"""Round trips to the agent, with a model that returns its input, and to a plain unix socket that
does the same.
"""

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
#: Name -> dtype, elements and bytes of the tensor.
SIZES = {"1 int": ("int64", 1, 8), "64 kB": ("uint8", 64_000, 64_000), "16 MiB": ("uint8", 16 << 20, 16 << 20)}
_MIN_CALLS = 5


def measure(run: Run) -> list[Record]:
    """Records by ``way`` and ``size``: milliseconds, GB/s in both directions together, CPU time of
    the agent.
    """
    with tempfile.TemporaryDirectory() as folder:
        echo.save(Path(folder))
        places = [
            f"{scheme}://{folder}/{scheme}.sock" if "unix" in scheme else servers.free_address(scheme) for scheme in _SCHEMES
        ]
        more = [part for place in places[1:] for part in ("-a", place)]
        records: list[Record] = []
        with servers.agent(places[0], more, models=folder, preload="echo0") as agent:
            for repeat in range(run.plan.repeats):
                for place, way in zip(places, _SCHEMES.values(), strict=True):
                    run.log(f"{way}, repeat {repeat + 1} of {run.plan.repeats}")
                    records += [{"way": way, "repeat": repeat, **record} for record in _way(run, place, agent.pid)]
                records += [{"way": "plain socket", "repeat": repeat, **record} for record in _plain(run, folder)]
    return records


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

                def echo_once(data: bytes = data, size: int = size) -> None:
                    client.sendall(data)
                    assert len(file.read(size)) == size

                yield _record(name, size, repeated(echo_once, run.plan.hop_seconds))


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
    """The seconds of each call, for a time and at least five times, after as many that do not
    count.
    """
    for _ in range(_MIN_CALLS):
        call()
    durations: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(durations) < _MIN_CALLS:
        began = time.perf_counter()
        call()
        durations.append(time.perf_counter() - began)
    return durations


def _record(name: str, size: int, durations: list[float]) -> Record:
    figures = milliseconds(durations)
    return {"size": name, **figures, "gb_s": 2 * size / figures["median_ms"] / 1e6, "count": len(durations)}
