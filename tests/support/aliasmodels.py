"""Small classifiers that take each other's place behind an alias: they say which of them answered. And the clients of such."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import requests
import torch
from torch import Tensor, nn

from tests.support.clients import ids
from tests.support.paths import TWEETS
from tests.support.servers import ServerProcess, SpawnAgent
from vaccel_common.modelfile import read_entries
from vaccel_rpc.client import RunResult, VaccelClient
from vaccel_rpc.extensions import TIMINGS
from vaccel_rpc.tensors import to_values

#: What clients have of the model that ships.
ENTRIES = {name: read_entries(TWEETS)[name] for name in ("tokenizer.json", "labels.json", "signature.json")}


class Says(nn.Module):
    """Tokens -> always the same logits; those ``long`` for texts of more than ``limit`` tokens. ``ballast`` takes memory."""

    def __init__(self, label: int, long: int, limit: int, mib: int) -> None:
        super().__init__()
        self.short = nn.Parameter(4.0 * torch.eye(3)[label])
        self.long = nn.Parameter(4.0 * torch.eye(3)[long])
        self.ballast = nn.Parameter(torch.ones(max(7, mib << 18)))
        self.limit = limit

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        is_long = (attention_mask.sum(1, keepdim=True) > self.limit).float()
        nothing = 0.0 * self.ballast.index_select(0, input_ids[:, 0] % 7).unsqueeze(1)
        return is_long * self.long + (1.0 - is_long) * self.short + nothing


def write_says(
    path: Path, label: int, *, long: int | None = None, limit: int = 0, mib: int = 0, entries: Mapping[str, bytes] = ENTRIES
) -> str:
    """Writes a model that gives the label of that number; its sha256.

    ``long``: the label of texts of more than ``limit`` tokens. ``mib``: the memory that it takes.
    ``entries``: its tokenizer, labels and signature.
    """
    module = Says(label, label if long is None else long, limit, mib).eval()
    torch.jit.save(torch.jit.script(module), str(path), _extra_files={name: data.decode() for name, data in entries.items()})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(path.name + ".sha256").write_text(f"{digest}  {path.name}\n")
    return digest


def write_aliases(path: Path, **aliases: object) -> None:
    """Writes the file of aliases as a whole, by renaming."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(aliases))
    part.replace(path)


def write_store(folder: Path) -> Path:
    """Writes a folder with the models ``a`` and ``b``, which give the labels 0 and 1; the alias ``live`` is a."""
    folder.mkdir()
    for number, name in enumerate("ab"):
        write_says(folder / f"{name}.pt", number)
    write_aliases(folder / "aliases.json", live=sha(folder, "a"))
    return folder


def sha(store: Path, name: str) -> str:
    """How the file of aliases names a model."""
    return "sha256:" + (store / f"{name}.pt.sha256").read_text().split()[0]


def spawned(spawn_agent: SpawnAgent, store: Path, *options: str) -> ServerProcess:
    """An agent with that store and metrics."""
    agent = spawn_agent("--models", str(store), "--metrics-address", "127.0.0.1:0", *options)
    agent.addresses["http"] = agent.wait_for(r"Metrics and health on '(http://[^']+)'")[1]
    return agent


def run(calls: VaccelClient, session: int, resource: int, **metadata: str) -> RunResult:
    """The result of one text of three tokens."""
    return calls.start_run(session, resource, ids(101, 2204, 102), 1, 20, {TIMINGS: "1", **metadata}).result()


def label(result: RunResult) -> int:
    """The number of the best label."""
    values = [*to_values(result.outputs[0])]
    return max(range(len(values)), key=values.__getitem__)


def metrics(agent: ServerProcess, name: str) -> dict[str, float]:
    """The samples of one metric, by their labels."""
    lines = requests.get(agent.addresses["http"] + "/metrics", timeout=5).text.splitlines()
    samples = [line.rpartition(" ") for line in lines if line.startswith((f"{name}{{", f"{name} "))]
    return {labels.removeprefix(name): float(value) for labels, _, value in samples}


def until(condition: Callable[[], bool], agent: ServerProcess, seconds: float = 30) -> None:
    """Waits for the condition; fails with the agent's log."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, agent.text
        time.sleep(0.05)
