"""Many models in one agent: a client that asks them in turn."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

from benchmarks import echo, targets
from benchmarks.parts.hop import repeated
from benchmarks.plan import Record, Run
from loadkit.processes import memory_mib
from loadkit.stats import percentile
from vaccel_rpc.addresses import parse
from vaccel_rpc.channels import connect
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.tensors import Tensor

#: Numbers (float32) in each model: 4 MB of weights.
_WEIGHTS = 1_000_000
#: ``--max-models`` unless it is given; a model that a session holds is not unloaded for another.
_LIMIT = 16


def measure(run: Run) -> list[Record]:
    """Records by ``models``; ``limit``: ``--max-models``."""
    return [{"repeat": repeat, **_models(run, count)} for repeat in range(run.plan.repeats) for count in run.plan.models]


def _models(run: Run, count: int) -> Record:
    run.say(f"{count} models in turn")
    with tempfile.TemporaryDirectory() as folder:
        names = echo.save(Path(folder), count, _WEIGHTS)
        limit = max(_LIMIT, count)
        with targets.agent("unix://", ("--max-models", str(limit)), models=folder, preload=names[0]) as (address, pid):
            client = VaccelClient(connect(parse(address), 5))
            session = client.create_session()
            turns = itertools.cycle([client.register_path(session, name) for name in names])
            tensor = Tensor("int64", (1,), bytes(8))
            for _ in names:
                client.run(session, next(turns), [tensor], 1, timeout=30)
            taken = repeated(lambda: client.run(session, next(turns), [tensor], 1, timeout=30), 2 * run.plan.hop_seconds)
            memory = memory_mib(pid)
            client.close()
    times = {"median_ms": 1000 * percentile(taken, 0.5), "p99_ms": 1000 * percentile(taken, 0.99)}
    return {"models": count, "limit": limit, **times, "memory": memory}
