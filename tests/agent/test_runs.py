"""Runs: joined or alone, timed, and within the memory there is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from export.commands import main as export_commands
from tests.support.clients import client, ids
from tests.support.servers import ServerProcess, SpawnAgent
from tests.support.smallmodel import write_small_model
from tests.support.torchmodels import FIRST_SIGNATURE, First, Greedy, saved
from vaccel_rpc.addresses import parse
from vaccel_rpc.channels import connect
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.dialects import Version
from vaccel_rpc.errors import (
    InvalidArgument,
    ResourceExhausted,
)
from vaccel_rpc.extensions import TIMINGS
from vaccel_rpc.tensors import from_values, to_values


def test_a_model_that_padding_disturbs_is_run_alone(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Its signature asks for batches, the warm-up finds the difference, a log line says so, and its answers are right."""
    saved(First(), tmp_path / "first.pt", json.dumps(FIRST_SIGNATURE))
    agent = spawn_agent("--models", str(tmp_path), "--preload", "first")
    assert "Padding changes the answers of first" in agent.text
    calls = client(agent)
    session = calls.create_session()
    model = calls.register_path(session, "first")
    rows = [[from_values("int64", [1, n], range(n))] for n in range(1, 21)]
    together = [run.result().outputs for run in [calls.start_run(session, model, row, 1) for row in rows]]
    assert [to_values(tensors[0])[0] for tensors in together] == pytest.approx([(n - 1) / 2 for n in range(1, 21)])


def test_batched_and_alone_and_both_kinds_of_file_agree(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """To 1e-4: TorchScript and torch.export, joined and one at a time, on rows of many lengths."""
    small = write_small_model(tmp_path / "small.pt")
    CliRunner().invoke(export_commands, ["pt2", str(small), "-o", str(tmp_path / "other.pt2")], catch_exceptions=False)
    calls = client(spawn_agent("--models", str(tmp_path), "--preload", "all"))
    session = calls.create_session()
    script, export = (calls.register_path(session, name) for name in ("small", "other"))
    rows = [ids(101, *(1996 + (7 * n + k) % 5000 for k in range(n % 40)), 102) for n in range(200)]
    alone = [to_values(calls.run(session, script, row, 1)[0]) for row in rows]
    for model in (script, export):
        together = [run.result().outputs for run in [calls.start_run(session, model, row, 1, 60) for row in rows]]
        worst = max(
            abs(a - b)
            for expected, tensors in zip(alone, together, strict=True)
            for a, b in zip(expected, to_values(tensors[0]), strict=True)
        )
        assert worst < 1e-4


@pytest.mark.parametrize("version", ["0.8", "2025-07"])
def test_large_messages_are_not_held_several_times(spawn_agent: SpawnAgent, version: Version) -> None:
    """An upload of 300 MB costs the agent less than 1.5 times that, and above --max-buffer it is refused, not held."""
    agent = spawn_agent("--max-buffer", "400")

    before = agent.peak_memory_mib
    calls = client(agent, version=version)
    session = calls.create_session()
    with pytest.raises(InvalidArgument, match="not a model"):
        calls.register_bytes(session, bytes(300 << 20), timeout=60)
    assert agent.peak_memory_mib - before < 450
    with pytest.raises(ResourceExhausted, match="--max-buffer"):
        calls.register_bytes(session, bytes(500 << 20), timeout=60)
    assert calls.create_session() > session


@pytest.mark.parametrize("scheme", ["unix", "grpc"])
@pytest.mark.parametrize("version", ["0.7", "0.8"])
def test_a_run_tells_its_times_to_who_asks(agent: ServerProcess, scheme: str, version: Version) -> None:
    """Seconds in the queue and in the model, rows of the batch; nobody else's answer changes by a byte."""
    calls = VaccelClient(connect(parse(agent.addresses[scheme]), 5), version)
    session = calls.create_session()
    model = calls.register_path(session, "tweets", timeout=20)
    measured = calls.start_run(session, model, ids(101, 2204, 102), 1, 20, {TIMINGS: "1", "traceparent": "x"}).result()
    assert measured.timings
    assert measured.timings.rows == 1
    assert 0 <= measured.timings.queue < 20
    assert 0 < measured.timings.forward < 20
    pending = calls.start_run(session, model, ids(101, 2204, 102), 1, 20)
    reply = pending.reply.result()
    assert calls.start_run(session, model, ids(101, 2204, 102), 1, 20, {TIMINGS: "0"}).result().timings is None
    assert len(reply) < 40, "a message of one float32 [1, 3] and nothing else"
    calls.close()


def test_out_of_memory_is_resource_exhausted_and_the_agent_lives(agent: ServerProcess, tmp_path: Path) -> None:
    """A run that needs more than there is fails alone."""
    calls = client(agent)
    session = calls.create_session()
    model = calls.register_bytes(session, saved(Greedy(), tmp_path / "greedy.pt"))
    with pytest.raises(ResourceExhausted, match="more memory than there is"):
        calls.run(session, model, [from_values("int64", [1], [2**46])], 1)
    assert to_values(calls.run(session, model, [from_values("int64", [1], [4])], 1)[0]) == [0.0]
