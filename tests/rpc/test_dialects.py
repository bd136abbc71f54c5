"""A model on an agent of any dialect: found out, registered, run; upstream's agents are played, ours is real."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest

from tests.support.clients import ids
from tests.support.paths import MODELS
from tests.support.playedagent import Build, PlayedAgent, Transport, UpstreamAgent, played
from tests.support.recorded import WIRE
from tests.support.servers import ServerProcess
from vaccel_rpc.channels.ttrpc import TtrpcChannel
from vaccel_rpc.dialects import Version
from vaccel_rpc.errors import Internal, Unimplemented
from vaccel_rpc.links import AgentLink
from vaccel_rpc.negotiation import DialectChoice
from vaccel_rpc.pool.targets import parse_targets
from vaccel_rpc.proto.ttrpc_pb2 import Request, Response, Status
from vaccel_rpc.registering import ModelSource
from vaccel_rpc.remote import RemoteModel
from vaccel_rpc.tensors import from_values, to_values

AFFINE = WIRE / "affine.pt"
NEW, OLD = "vaccel.sync.agent.AgentService", "vaccel.AgentService"
ROW = [0, 1, -2.5, 100]
#: A file's digest, which upstream's agents know nothing of.
DIGEST = "sha256:" + 64 * "a"


def remote_of(agent: PlayedAgent, path: str | None = DIGEST, dialect: DialectChoice = "auto") -> RemoteModel:
    """The model ``affine.pt`` on an agent."""
    return RemoteModel(parse_targets(agent.address), ModelSource(path, AFFINE), dialect=dialect)


def linked(remote: RemoteModel) -> AgentLink:
    """The model's link to its agent."""
    link = remote.link
    assert link is not None
    return link


def run(remote: RemoteModel) -> list[int] | list[float]:
    """What it gives for the recordings' row."""
    return to_values(remote.run([from_values("float32", (1, 4), ROW)], 1, 5)[0])


@pytest.mark.parametrize("transport", ["unix", "tcp"])
@pytest.mark.parametrize(("build", "service", "method"), [("0.7", OLD, "TorchJitloadForward"), ("0.8", NEW, "TorchModelRun")])
def test_an_upstream_agent_gets_the_file(
    tmp_path: Path, build: Build, service: str, method: str, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    """It refuses the digest; the file is uploaded, in the agent's dialect, and runs. One line of the log says so."""
    caplog.set_level(logging.INFO)
    upstream = UpstreamAgent(build)
    with played(upstream, tmp_path, transport) as agent:
        remote = remote_of(agent)
        assert run(remote) == ROW
        assert (linked(remote).client.version, linked(remote).model.uploaded) == (build, True)
        remote.close()
    assert upstream.uploads == [AFFINE.read_bytes()]
    calls = [(service, name) for name in ("CreateSession", "RegisterResource", "RegisterResource", method)]
    if build == "0.7":
        calls = [(NEW, "CreateSession"), calls[0], (OLD, "TorchModelLoad"), *calls[1:]]
    assert agent.calls == calls
    [line] = [record.getMessage() for record in caplog.records]
    start = f"{agent.address}: the agent speaks dialect {build}; model uploaded from affine.pt, 2072 bytes in 0."
    assert line.startswith(start)
    assert line.endswith(f" s ({DIGEST} was refused: INTERNAL: FFI error: 22)")


@pytest.mark.parametrize("build", ["0.7", "0.8"])
def test_a_file_on_an_upstream_agents_disk_is_used(tmp_path: Path, build: Build, caplog: pytest.LogCaptureFixture) -> None:
    """A path that the agent can open is registered there; nothing is uploaded."""
    caplog.set_level(logging.INFO)
    upstream = UpstreamAgent(build)
    with played(upstream, tmp_path) as agent:
        remote = remote_of(agent, "affine.pt")
        assert run(remote) == ROW
        assert not linked(remote).model.uploaded
        remote.close()
    assert upstream.uploads == []
    assert caplog.messages == [f"{agent.address}: the agent speaks dialect {build}; model registered as affine.pt"]


def test_the_dialect_is_found_out_again_for_each_connection(tmp_path: Path) -> None:
    """An agent of another version takes the place of the first: the next run is in its dialect."""
    answers = [UpstreamAgent("0.7"), UpstreamAgent("0.8")]
    with played(lambda stream, request: answers[0](stream, request), tmp_path) as agent:
        remote = remote_of(agent)
        assert (run(remote), linked(remote).client.version) == (ROW, "0.7")
        answers.pop(0)
        agent.hang_up()
        end = time.monotonic() + 5
        while remote.ready:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert (run(remote), linked(remote).client.version) == (ROW, "0.8")
        remote.close()


@pytest.mark.parametrize(("build", "dialect"), [("2025-06-30", "0.7"), ("2025-07-17", "2025-07")])
@pytest.mark.parametrize("path", [DIGEST, "affine.pt"])
def test_builds_between_the_releases(tmp_path: Path, build: Build, dialect: Version, path: str) -> None:
    """Upstream's main branch had 0.7's service with newer uploads, and then with newer runs too."""
    upstream = UpstreamAgent(build)
    with played(upstream, tmp_path) as agent:
        remote = remote_of(agent, path)
        assert run(remote) == ROW
        assert (linked(remote).client.version, linked(remote).model.uploaded) == (dialect, path == DIGEST)
        remote.close()
    assert upstream.uploads == ([AFFINE.read_bytes()] if path == DIGEST else [])


@pytest.mark.parametrize(("build", "dialect"), [("0.8", "0.7"), ("0.7", "0.8")])
def test_a_fixed_dialect_is_the_only_one_tried(tmp_path: Path, build: Build, dialect: DialectChoice) -> None:
    """An agent that does not speak it is an error that names it."""
    with played(UpstreamAgent(build), tmp_path) as agent:
        with pytest.raises(Unimplemented, match=rf"speaks no dialect .* tried: {dialect} \([\w.]+\)$"):
            remote_of(agent, dialect=dialect).connect(5)
        assert len(agent.calls) == 1


def test_an_agents_errors_are_its_own(tmp_path: Path) -> None:
    """Without a file the refusal of the path is the error, with its errno, and says what could not be done about it."""
    reason = rf"^FFI error: 22 \(registering {DIGEST}, whose file is not here to be uploaded\)$"
    with played(UpstreamAgent(), tmp_path) as agent, pytest.raises(Internal, match=reason) as raised:
        RemoteModel(parse_targets(agent.address), ModelSource(DIGEST)).connect(5)
    assert raised.value.errno == 22


@pytest.mark.parametrize(("build", "uploads"), [("0.7", 2), ("0.8", 1)])
def test_an_agent_that_takes_no_file_either(tmp_path: Path, build: Build, uploads: int) -> None:
    """Both refusals are in the error; by 0.7 the file is tried in the newer form too."""
    upstream = UpstreamAgent(build)

    def answer(stream: int, request: Request) -> bytes:
        recorded = Response.FromString(upstream(stream, request))
        if request.method == "RegisterResource":
            recorded = Response(status=Status(code=13, message="FFI error: 95"))
        return recorded.SerializeToString()

    with played(answer, tmp_path) as agent, pytest.raises(Internal) as raised:
        remote_of(agent).connect(5)
    reasons = f"affine.pt was refused: INTERNAL: FFI error: 95; {DIGEST} was refused: INTERNAL: FFI error: 95"
    assert raised.value.message == f"the upload of {reasons}"
    assert agent.calls.count(agent.calls[-1]) == 1 + uploads


@pytest.mark.parametrize(("choice", "version"), [("auto", "0.8"), ("0.8", "0.8"), ("0.7", "0.7")])
def test_our_own_agent(agent: ServerProcess, monkeypatch: pytest.MonkeyPatch, choice: DialectChoice, version: Version) -> None:
    """It is spoken to in 0.8 at the first call, and in 0.7 from end to end where that is fixed."""
    calls = []
    start = TtrpcChannel.start

    def counted(channel: TtrpcChannel, service: str, method: str, *rest: object) -> object:
        calls.append((service, method))
        return start(channel, service, method, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(TtrpcChannel, "start", counted)
    remote = RemoteModel(parse_targets(agent.addresses["unix"]), ModelSource("tweets", MODELS / "tweets.pt"), dialect=choice)
    [output] = remote.run(ids(101, 2204, 2851, 102), 1, 20)
    assert (output.dims, linked(remote).client.version, linked(remote).model.uploaded) == ((1, 3), version, False)
    service, method = (NEW, "TorchModelRun") if version == "0.8" else (OLD, "TorchJitloadForward")
    assert calls == [(service, "CreateSession"), (service, "RegisterResource"), (service, method)]
    remote.close()
