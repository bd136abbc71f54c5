"""The function with an agent of another dialect: upstream's, played, which has no model and gets the function's file; ours by 0.7."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import requests

from tests.support.functions import function_of, post, wait_until_ready
from tests.support.paths import TWEETS
from tests.support.playedagent import Build, UpstreamAgent, played, three_logits
from tests.support.servers import ServerProcess
from vaccel_rpc.proto.ttrpc_pb2 import Request, Response, Status


@pytest.mark.parametrize("build", ["0.7", "0.8"])
def test_an_upstream_agent_gets_the_model_and_answers(tmp_path: Path, small_file: Path, build: Build) -> None:
    """Ready, with one line of the log that says in which dialect and what was uploaded; texts are classified."""
    upstream = UpstreamAgent(build, three_logits)
    with played(upstream, tmp_path, "tcp") as agent, function_of(tmp_path, agent.address, MODEL=str(small_file)) as server:
        wait_until_ready(server)
        answer = post(server, {"text": "What a lovely day"}).json()
        assert (answer["label"], answer["model"]) == ("neither", {"name": "small", "sha256": None})
        assert len(post(server, {"texts": ["tea"] * 20}).json()["predictions"]) == 20
    assert upstream.uploads == [small_file.read_bytes()]
    how = rf"uploaded from small\.pt, {small_file.stat().st_size} bytes in \d+\.\d\d s \(small\.pt was refused: INTERNAL: FFI error: 22\)"
    line = rf"^\[\S+ INFO  vaccel_rpc\] {re.escape(agent.address)}: the agent speaks dialect {build}; model {how}$"
    assert len(re.findall(line, server.text, re.MULTILINE)) == 1


@pytest.mark.parametrize(("choice", "version"), [("", "0.8"), ("0.7", "0.7")])
def test_our_agent_by_either_dialect(agent: ServerProcess, tmp_path: Path, choice: str, version: str) -> None:
    """The same answer by both; the model that ships is registered by its digest."""
    digest = (TWEETS.parent / "tweets.pt.sha256").read_text().split()[0]
    with function_of(tmp_path, agent.addresses["unix"], VACCEL_RPC_DIALECT=choice) as server:
        wait_until_ready(server)
        assert post(server, {"text": "good morning"}).json()["label"] == "neither"
    said = f"{agent.addresses['unix']}: the agent speaks dialect {version}; model registered as sha256:{digest}\n"
    assert server.text.count(said) == 1


def unknown(_: int, request: Request) -> bytes:
    """An agent of neither dialect."""
    status = Status(code=3, message=f"/{request.service}/{request.method} does not exist")
    return Response(status=status).SerializeToString()


def test_an_agent_of_no_known_dialect_is_the_reason(tmp_path: Path) -> None:
    """The function is not ready, and says which dialects it tried."""
    with played(unknown, tmp_path) as agent, function_of(tmp_path, agent.address) as server:
        while "connecting" in (
            detail := requests.get(server.addresses["http"] + "/health/readiness", timeout=5).json()["detail"]
        ):
            pass
    tried = "0.8 (vaccel.sync.agent.AgentService), 0.7 (vaccel.AgentService)"
    assert detail == f"no agent: the agent speaks no dialect of the vAccel RPC that was tried: {tried}"


def test_an_agents_error_forges_no_line(tmp_path: Path, small_file: Path) -> None:
    """A refusal with line ends is logged on one line; a run's error is the answer's reason."""
    upstream = UpstreamAgent("0.8")
    forged = "no\n[2026-01-01T00:00:00Z INFO  function] forged\x1b[2J"

    def answer(stream: int, request: Request) -> bytes:
        recorded = Response.FromString(upstream(stream, request))
        if request.method == "TorchModelRun":
            return Response(status=Status(code=13, message="FFI error: 22")).SerializeToString()
        if recorded.status.code:
            recorded.status.message = forged
        return recorded.SerializeToString()

    with played(answer, tmp_path) as agent, function_of(tmp_path, agent.address, MODEL=str(small_file)) as server:
        wait_until_ready(server)
        failed = post(server, {"text": "good morning"})
        assert (failed.status_code, "FFI error: 22" in failed.json()["detail"]) == (502, True)
    assert "\n[2026-01-01T00:00:00Z INFO  function] forged" not in server.text
    assert r"no\n[2026-01-01T00:00:00Z INFO  function] forged\x1b[2J)" in server.text
