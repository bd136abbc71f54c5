"""The command-line classifier with agents of either dialect: ours, and upstream's, played."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from export.tokenizer import write_tokenizer_file
from tests.support.classifier import TEXTS, guide_forms, logged, run, unlike
from tests.support.paths import TWEETS
from tests.support.playedagent import Build, UpstreamAgent, played, three_logits
from tests.support.servers import ServerProcess
from vaccel_rpc.proto.ttrpc_pb2 import Request, Response, Status

#: The form of a region of a profile.
REGION = r"\[prof\] (\[[\w-]+\] )?(\w+): total_time: (\d+) nsec nr_entries: (\d+)"
#: The client's own regions, and how many samples five texts in batches of one give.
OWN = [("[vaccel-classifier] ", "register", 1), ("[vaccel-classifier] ", "tokenize", 5), ("[vaccel-classifier] ", "run", 5)]


def regions(log: list[tuple[str, str]]) -> list[tuple[str | None, str, int]]:
    """Component, name and samples of each region; every one took some time."""
    found = [match for _, message in log if (match := re.fullmatch(REGION, message))]
    assert all(int(match[3]) > 0 for match in found)
    return [(match[1], match[2], int(match[4])) for match in found]


@pytest.mark.parametrize("build", ["0.7", "0.8"])
@pytest.mark.parametrize("dialect", ["auto", "fixed"])
def test_an_upstream_agent(tmp_path: Path, small_file: Path, texts: Path, build: Build, dialect: str) -> None:
    """Found out or fixed, the dialect is the agent's; the model is uploaded once; the guide's lines, and nothing else, are printed."""
    upstream = UpstreamAgent(build, three_logits)
    options = () if dialect == "auto" else ("--dialect", build)
    with played(upstream, tmp_path, "tcp") as agent:
        done = run(agent.address, "-m", str(small_file), "-f", str(texts), *options, env={"VACCEL_LOG_LEVEL": "3"})
    assert done.returncode == 0, done.stderr
    assert unlike(done.stdout, guide_forms(texts, len(TEXTS), "neither")) == []
    assert upstream.uploads == [small_file.read_bytes()]
    (version, agents) = (message for _, message in logged(done.stderr))
    assert version.startswith("vaccel-classifier ")
    size = small_file.stat().st_size
    assert re.fullmatch(
        rf"tcp://\S+: the agent speaks dialect {build}; model uploaded from small\.pt, {size} bytes in .*", agents
    )
    first = "vaccel.AgentService" if options and build == "0.7" else "vaccel.sync.agent.AgentService"
    assert agent.calls[0] == (first, "CreateSession")


@pytest.mark.parametrize("version", ["0.7", "0.8"])
def test_our_agent_in_either_dialect(agent: ServerProcess, texts: Path, version: str) -> None:
    """`VACCEL_RPC_DIALECT` is the option too; the model that ships is registered by its digest."""
    env = {"VACCEL_RPC_DIALECT": version, "VACCEL_LOG_LEVEL": "3"}
    done = run(agent, "-m", str(TWEETS), "-f", str(texts), env=env)
    assert unlike(done.stdout, guide_forms(texts, len(TEXTS))) == []
    said = f"the agent speaks dialect {version}; model registered as sha256:"
    assert any(said in message for _, message in logged(done.stderr))


def test_the_profile_of_the_client_and_of_our_agent(agent: ServerProcess, texts: Path) -> None:
    """A line for each region in vAccel's form, at any level, before the summary; standard output is as without it."""
    done = run(agent, "-m", str(TWEETS), "-f", str(texts), env={"VACCEL_PROFILING_ENABLED": "1"})
    log = logged(done.stderr)
    assert {level for level, _ in log} == {"info"}
    found = regions(log)
    assert found[:3] == OWN
    assert {(name, entries) for _, name, entries in found[3:]} == {
        (name, 5) for name in ("torch_run", "queue", "batch", "forward")
    }
    assert len(found) == len(log) == len(done.stderr.splitlines()) - 1
    assert done.stderr.splitlines()[-1].startswith("5 lines in ")
    assert unlike(done.stdout, guide_forms(texts, len(TEXTS))) == []
    assert logged(run(agent, "-m", str(TWEETS), "-f", str(texts), env={"VACCEL_PROFILING_ENABLED": "0"}).stderr) == []


@pytest.mark.parametrize("build", ["0.7", "0.8"])
def test_an_upstream_agents_empty_profile_is_a_warning(tmp_path: Path, small_file: Path, texts: Path, build: Build) -> None:
    """The client's own regions are there, and the work has succeeded."""
    with played(UpstreamAgent(build, three_logits), tmp_path) as agent:
        done = run(agent.address, "-m", str(small_file), "-f", str(texts), "--profiling")
    log = logged(done.stderr)
    assert (done.returncode, regions(log)) == (0, OWN)
    assert log[-1] == ("warn", "[prof] The agent's profile of this session is empty")


def test_an_agent_without_a_profile_is_a_warning(tmp_path: Path, small_file: Path, texts: Path) -> None:
    """Its reason is on that line, whatever characters it has."""
    upstream = UpstreamAgent("0.8", three_logits)
    reason = "no\n2026.01.01-00:00:00.00 - <info> forged\x1b[2J"

    def answer(stream: int, request: Request) -> bytes:
        refused = Response(status=Status(code=12, message=reason))
        return refused.SerializeToString() if request.method == "GetProfiler" else upstream(stream, request)

    with played(answer, tmp_path) as agent:
        done = run(agent.address, "-m", str(small_file), "-f", str(texts), "--profiling")
    assert done.returncode == 0
    shown = r"no\n2026.01.01-00:00:00.00 - <info> forged\x1b[2J"
    assert logged(done.stderr)[-1] == ("warn", f"[prof] The agent gave no profile: UNIMPLEMENTED: {shown}")


def test_an_agent_that_is_gone_at_the_end_gives_no_profile(tmp_path: Path, small_file: Path, texts: Path) -> None:
    """A connection that ends after the last text is a warning; it is not made anew, for a new session has no profile."""
    upstream = UpstreamAgent("0.8", three_logits)

    def answer(stream: int, request: Request) -> bytes:
        if request.method == "GetProfiler":
            agent.hang_up()
        return upstream(stream, request)

    with played(answer, tmp_path) as agent:
        done = run(agent.address, "-m", str(small_file), "-f", str(texts), "--profiling")
    assert (done.returncode, len(agent.connections)) == (0, 1)
    level, message = logged(done.stderr)[-1]
    assert level == "warn"
    assert message.startswith("[prof] The agent gave no profile: UNAVAILABLE: ")


def test_an_agents_error_is_one_line(tmp_path: Path, small_file: Path, texts: Path) -> None:
    """A run that fails ends the work with the agent's reason; its line ends begin no lines."""
    upstream = UpstreamAgent("0.7", three_logits)

    def answer(stream: int, request: Request) -> bytes:
        failed = Response(status=Status(code=13, message="FFI error: 22\nLine 1: forged"))
        return failed.SerializeToString() if request.method == "TorchJitloadForward" else upstream(stream, request)

    with played(answer, tmp_path) as agent:
        done = run(agent.address, "-m", str(small_file), "-f", str(texts))
    assert (done.returncode, done.stderr) == (1, "vaccel-classifier: line 1: INTERNAL: FFI error: 22\\nLine 1: forged\n")
    assert unlike(done.stdout, guide_forms(texts, len(TEXTS))[:5]) == []


def test_an_agent_that_refuses_the_model_is_one_line(tmp_path: Path, small_file: Path, texts: Path) -> None:
    """Both reasons are told, that of the name and that of the upload."""
    upstream = UpstreamAgent("0.8")

    def answer(stream: int, request: Request) -> bytes:
        refused = Response(status=Status(code=13, message="FFI error: 12"))
        return refused.SerializeToString() if request.method == "RegisterResource" else upstream(stream, request)

    with played(answer, tmp_path) as agent:
        done = run(agent.address, "-m", str(small_file), "-f", str(texts))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "the upload of small.pt was refused: INTERNAL: FFI error: 12" in done.stderr


def test_a_tokenizer_file_cannot_be_run_by_an_upstream_agent(tmp_path: Path, texts: Path) -> None:
    """The error says which model was asked for, and that its file is needed."""
    tokenizer = tmp_path / "tweets.tokenizer"
    write_tokenizer_file(TWEETS, tokenizer)
    digest = (TWEETS.parent / "tweets.pt.sha256").read_text().split()[0]
    with played(UpstreamAgent("0.7"), tmp_path) as agent:
        done = run(agent.address, "-m", str(tokenizer), "-f", str(texts))
    why = f"INTERNAL: FFI error: 22 (registering sha256:{digest}, whose file is not here to be uploaded)"
    assert (done.returncode, done.stderr) == (1, f"vaccel-classifier: {why}\n")


def test_an_agent_of_no_known_dialect_names_those_that_were_tried(tmp_path: Path, small_file: Path, texts: Path) -> None:
    """One line, exit code 1; with a fixed dialect only that one is named."""

    def unknown(_: int, request: Request) -> bytes:
        status = Status(code=3, message=f"/{request.service}/{request.method} does not exist")
        return Response(status=status).SerializeToString()

    with played(unknown, tmp_path) as agent:
        done = run(agent.address, "-m", str(small_file), "-f", str(texts))
        fixed = run(agent.address, "-m", str(small_file), "-f", str(texts), "--dialect", "0.7")
    assert (done.returncode, fixed.returncode) == (1, 1)
    assert done.stderr.endswith("was tried: 0.8 (vaccel.sync.agent.AgentService), 0.7 (vaccel.AgentService)\n")
    assert fixed.stderr.endswith("was tried: 0.7 (vaccel.AgentService)\n")
