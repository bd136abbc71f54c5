"""Many models in one agent: a client that runs them in turn."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

from benchmarks import echo
from benchmarks.parts.hop import repeated
from benchmarks.plan import Record, Run
from benchmarks.rpc import ModelClient
from loadkit import servers
from loadkit.stats import milliseconds
from loadkit.usage import memory_mib
from vaccel_rpc.tensors import Tensor

#: The float32 weights of each model: 4 MB.
_WEIGHTS = 1_000_000
#: The agent's default ``--max-models``; a model that a session uses is not unloaded for another.
_LIMIT = 16


def measure(run: Run) -> list[Record]:
    """Records by the number of ``models``; ``limit``: ``--max-models``."""
    return [{"repeat": repeat, **_models(run, count)} for repeat in range(run.plan.repeats) for count in run.plan.models]


def _models(run: Run, count: int) -> Record:
    run.log(f"{count} models in turn")
    with tempfile.TemporaryDirectory() as folder:
        names = echo.save(Path(folder), count, _WEIGHTS)
        limit = max(_LIMIT, count)
        options = ("--max-models", str(limit))
        with (
            servers.agent(options=options, models=folder, preload=names[0]) as agent,
            ModelClient(agent.address, *names) as client,
        ):
            turns = itertools.cycle(range(count))
            tensor = Tensor("int64", (1,), bytes(8))
            for _ in names:
                client.run([tensor], next(turns))
            seconds = repeated(lambda: client.run([tensor], next(turns)), 2 * run.plan.hop_seconds)
            memory = memory_mib(agent.pid)
    return {"models": count, "limit": limit, **milliseconds(seconds), "memory": memory}
