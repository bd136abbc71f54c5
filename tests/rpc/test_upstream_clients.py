"""What upstream's clients send and need beside the protocol's letter."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
import torch

from tests.support.clients import client as connected
from tests.support.peers import tweets
from tests.support.peers.dialects import FLOAT32, OLD_07, SYNC_08, DialectNames, RawTensor, Steps, int64
from tests.support.peers.raw_ttrpc import INTERNAL, UNIMPLEMENTED, RawClient
from tests.support.servers import SpawnAgent
from tests.support.torchmodels import Doubles, Refuses, saved, signature
from vaccel_rpc.errors import Internal, InvalidArgument
from vaccel_rpc.tensors import from_values, to_values

BOTH = pytest.mark.parametrize("dialect", [SYNC_08, OLD_07], ids=["0.8", "0.7"])
#: The length to which the deployment guide's client pads every text.
GUIDE_LENGTH = 32


class Total(torch.nn.Module):
    """float32 [n] -> float32 []: the sum, without dimensions."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum()


@BOTH
def test_an_output_without_dimensions_has_one(client: RawClient, dialect: DialectNames, tmp_path: Path) -> None:
    """Upstream's clients need at least one: a single number comes as [1]."""
    steps = Steps(client.ok, dialect)
    session = steps.create_session()
    model = steps.register_bytes(session, saved(Total(), tmp_path / "total.pt"))
    (out,) = steps.run(session, model, [RawTensor(b"\0\0\x80?\0\0\0@", (2,), FLOAT32)])
    assert (out.dims, out.numbers()) == ((1,), [3.0])


@BOTH
@pytest.mark.parametrize("inner", [(1,), (1, 1)], ids=["[1, 1, 32]", "[1, 1, 1, 32]"])
def test_the_guides_inputs_run_the_model_that_ships(client: RawClient, dialect: DialectNames, inner: tuple[int, ...]) -> None:
    """Ids [1, 32] and a mask [1, 1, 32], padded, give what the text alone gives."""
    steps = Steps(client.ok, dialect)
    session = steps.create_session()
    model = steps.register_path(session, "tweets")
    for text in tweets.TEXTS[:4]:
        ids, mask = ([*torch.frombuffer(bytearray(tensor.data), dtype=torch.int64).tolist()] for tensor in tweets.inputs(text))
        padding = [0] * (GUIDE_LENGTH - len(ids))
        (out,) = steps.run(session, model, [int64(ids + padding), int64(mask + padding, 1, *inner, GUIDE_LENGTH)])
        assert not tweets.differ(out.numbers(), tweets.logits(text))


def test_a_run_that_fails_is_logged_once_with_its_reason(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Upstream's client shows "FFI error: 22" alone: session, model and reason are in the agent's log, in a batch too."""
    agent = spawn_agent("--uploads", "allow", "--max-delay-ms", "50")
    calls = connected(agent)
    session = calls.create_session()
    joinable = signature("picky", [("x", "int64", ["n"])], [("y", "int64", ["n"])], batch="n")
    alone = calls.register_bytes(session, saved(Refuses(), tmp_path / "alone.pt"), "alone.pt")
    joined = calls.register_bytes(session, saved(Refuses(), tmp_path / "joined.pt", joinable), "joined.pt")
    with pytest.raises(Internal, match="negative numbers are refused"):
        calls.run(session, alone, [from_values("int64", [1], [-1])], 1)
    pending = [calls.start_run(session, joined, [from_values("int64", [1], [value])], 1) for value in (1, -2, 3)]
    assert [to_values(pending[i].result().outputs[0]) for i in (0, 2)] == [[1], [3]]
    with pytest.raises(Internal):
        pending[1].result()
    for name in ("alone", "joined"):
        reason = rf"WARN +agent\.ops\.torch\] session:{session} A run of model {name} \(sha256:\w+\) failed: torch: .*negative"
        assert len(re.findall(reason, agent.text)) == 1, agent.text
    assert agent.text.count("negative") == 2


def test_other_failures_of_a_model_are_logged_too(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """An output of a type that vAccel does not have; a file that torch cannot load, with a name that would forge a line."""
    agent = spawn_agent("--uploads", "allow")
    with RawClient(agent.addresses["unix"]) as raw:
        steps = Steps(raw.ok, SYNC_08)
        session = steps.create_session()
        model = steps.register_bytes(session, saved(Doubles(), tmp_path / "doubles.pt"))
        failed = raw.call(SYNC_08.service, "TorchModelRun", SYNC_08.run(session, model, [RawTensor(b"\1", (1,), 1)]))
        assert failed.code == UNIMPLEMENTED
    assert re.search(rf"session:{session} A run of model .* failed: an output is float64; vAccel has only", agent.text)
    calls = connected(agent)
    session = calls.create_session()
    with zipfile.ZipFile(tmp_path / "damaged.pt", "w") as archive:
        archive.writestr("damaged/data.pkl", b"not a pickle")
    name = "x\n[2026-01-01T00:00:00Z INFO  agent] all is well.pt"
    with pytest.raises(InvalidArgument, match="torch cannot load the model"):
        calls.load(session, calls.register_bytes(session, (tmp_path / "damaged.pt").read_bytes(), name))
    assert len(re.findall(r"WARN +agent\.store\] Model x\\n.* cannot be loaded: torch cannot load the model", agent.text)) == 1
    assert "\n[2026-01-01" not in agent.text


@BOTH
def test_a_failure_in_the_model_keeps_its_errno(client: RawClient, dialect: DialectNames, tmp_path: Path) -> None:
    """Code 13 with a vaccel.Error of type FFI and EINVAL, as upstream's own agent answers."""
    steps = Steps(client.ok, dialect)
    session = steps.create_session()
    model = steps.register_bytes(session, saved(Refuses(), tmp_path / "refuses.pt"))
    reply = client.call(dialect.service, dialect.run_method, dialect.run(session, model, [int64([-1], 1)]))
    assert (reply.code, reply.details) == (INTERNAL, ((dialect.error_type, b"\x10\x16"),))


def test_profiling_can_be_turned_off(spawn_agent: SpawnAgent) -> None:
    """By upstream's key; keys without an effect here are named once, in the log."""
    agent = spawn_agent("--vaccel-config", "profiling_enabled=false,plugins=libvaccel-torch.so,version_ignore=true")
    calls = connected(agent)
    session = calls.create_session()
    model = calls.register_path(session, "tweets")
    ids = from_values("int64", [1, 3], [101, 2204, 102])
    calls.run(session, model, [ids, from_values("int64", [1, 3], [1, 1, 1])], 1)
    assert calls.profile(session) == {}
    assert agent.text.count("--vaccel-config: no effect on this agent: plugins, version_ignore") == 1


def test_rust_log_is_a_log_level(spawn_agent: SpawnAgent) -> None:
    """RUST_LOG=warn silences what upstream's agent logs at info."""
    agent = spawn_agent(ready=False, env={"RUST_LOG": "warn", "VACCEL_AGENT_VACCEL_CONFIG": "plugins=x"})
    agent.wait_for("no effect on this agent: plugins")
    assert "INFO" not in agent.text
