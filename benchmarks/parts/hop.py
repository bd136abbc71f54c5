"""What the way to the agent and back costs: a model that gives back its input, beside a plain unix socket that does so."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import echo, targets
from benchmarks.plan import Record, Run
from loadkit.processes import ROOT, cpu_seconds, ended
from loadkit.stats import percentile
from vaccel_rpc.addresses import parse
from vaccel_rpc.channels import connect
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.tensors import Tensor

_SCHEMES = {"unix": "ttrpc, unix", "tcp": "ttrpc, tcp", "grpc+unix": "gRPC, unix", "grpc": "gRPC, tcp"}
#: Name, and the tensor: an int64, 64 kB, 16 MiB.
SIZES = {"1 int": ("int64", 1, 8), "64 kB": ("uint8", 64_000, 64_000), "16 MiB": ("uint8", 16 << 20, 16 << 20)}
_LEAST = 5


def measure(run: Run) -> list[Record]:
    """Records by ``way`` and ``size``: milliseconds, GB/s of what goes and comes together, CPU of the agent."""
    with tempfile.TemporaryDirectory() as folder:
        echo.save(Path(folder))
        places = [f"{scheme}://{folder}/{scheme}.sock" if "unix" in scheme else targets.address(scheme) for scheme in _SCHEMES]
        more = [part for place in places[1:] for part in ("-a", place)]
        found: list[Record] = []
        with targets.agent(places[0], more, models=folder, preload="echo0") as (_, pid):
            for repeat in range(run.plan.repeats):
                for place, way in zip(places, _SCHEMES.values(), strict=True):
                    run.say(f"{way}, repeat {repeat + 1} of {run.plan.repeats}")
                    found += [{"way": way, "repeat": repeat, **record} for record in _way(run, place, pid)]
                found += [{"way": "plain socket", "repeat": repeat, **record} for record in _plain(run, folder)]
    return found


def _way(run: Run, place: str, pid: int) -> Iterator[Record]:
    client = VaccelClient(connect(parse(place), 5))
    session = client.create_session()
    model = client.register_path(session, "echo0")
    for name, (dtype, count, size) in SIZES.items():
        tensor = Tensor(dtype, (count,), bytes(size))
        before = cpu_seconds(pid)
        taken = repeated(lambda tensor=tensor: client.run(session, model, [tensor], 1, timeout=30), run.plan.hop_seconds)  # type: ignore[misc]
        yield {**_record(name, size, taken), "agent_ms": 1000 * (cpu_seconds(pid) - before) / len(taken)}
    client.close()


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


def _record(name: str, size: int, taken: list[float]) -> Record:
    median = percentile(taken, 0.5)
    both = {"median_ms": 1000 * median, "p99_ms": 1000 * percentile(taken, 0.99)}
    return {"size": name, **both, "gb_s": 2 * size / median / 1e9, "count": len(taken)}
