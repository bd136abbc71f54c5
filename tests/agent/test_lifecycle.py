"""How an agent starts, listens and ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from agent.config import AgentConfig
from agent.server import StartError, serve
from tests.support.clients import client, ids
from tests.support.optional import require
from tests.support.paths import ROOT, shipped_store
from tests.support.servers import ServerProcess, SpawnAgent
from vaccel_common.options import ConfigError
from vaccel_rpc.addresses import parse
from vaccel_rpc.errors import (
    Unavailable,
)


def test_sigterm_finishes_what_runs(spawn_agent: SpawnAgent) -> None:
    """A run under way is answered, idle connections delay nothing, exit code 0, the socket file is gone."""
    agent = spawn_agent("--models", str(shipped_store()), "--preload", "tweets", fresh=True)
    idle, calls = client(agent), client(agent)
    session = calls.create_session()
    model = calls.register_path(session, "tweets")
    runs = [calls.start_run(session, model, ids(*[101] * 128), 1, 30) for _ in range(8)]
    time.sleep(0.05)
    agent.process.send_signal(signal.SIGTERM)
    assert [run.result().outputs[0].dims for run in runs] == [(1, 3)] * 8
    assert agent.process.wait(10) == 0
    with pytest.raises(Unavailable):
        idle.create_session()
    assert not Path(parse(agent.addresses["unix"]).path).exists()
    assert "Traceback" not in agent.text


@pytest.mark.parametrize("scheme", ["unix", "grpc+unix"])
def test_stale_sockets_are_replaced_and_live_ones_are_not(spawn_agent: SpawnAgent, tmp_path: Path, scheme: str) -> None:
    """The socket of a killed agent is taken over; where an agent lives, a second one says so and ends with 1."""
    address = f"{scheme}://{tmp_path}/a.sock"
    spawn_agent("-a", address).stop(signal.SIGKILL)
    assert (tmp_path / "a.sock").exists()
    spawn_agent("-a", address)
    assert (tmp_path / "a.sock").stat().st_mode & 0o777 == 0o660
    second = spawn_agent("-a", address, ready=False)
    assert second.process.wait(20) == 1
    assert "another process listens there" in second.text
    (tmp_path / "file").write_text("mine")
    third = spawn_agent("-a", f"{scheme}://{tmp_path}/file", ready=False)
    assert third.process.wait(20) == 1
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("scheme", ["tcp", "grpc"])
def test_a_busy_port_is_an_error(spawn_agent: SpawnAgent, scheme: str) -> None:
    """The agent logs one line without a traceback and exits with 1."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        agent = spawn_agent("-a", f"{scheme}://127.0.0.1:{other.getsockname()[1]}", ready=False)
        assert agent.process.wait(20) == 1
    assert "cannot listen" in agent.text
    assert "Traceback" not in agent.text


def test_the_environment_says_what_options_say(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """As an image sets it; a store without a model is no store to preload from."""
    agent = spawn_agent(env={"VACCEL_AGENT_MODELS": str(shipped_store()), "VACCEL_AGENT_PRELOAD": "all"})
    assert "Preloaded model tweets" in agent.text
    empty = spawn_agent(ready=False, env={"VACCEL_AGENT_MODELS": str(tmp_path), "VACCEL_AGENT_PRELOAD": "all"})
    assert empty.process.wait(30) == 1
    assert f"vaccel-rpc-agent: --preload: no model (NAME.pt, NAME.pt2, NAME.onnx) in {tmp_path}" in empty.text
    assert "Traceback" not in empty.text


@pytest.mark.parametrize("pause", [0.01, 0.05, 0.1])
def test_it_ends_while_a_batch_runs_for_nobody(spawn_agent: SpawnAgent, pause: float) -> None:
    """SIGTERM just after a client has gone whose batches still run: exit code 0 all the same, no abort."""
    own = spawn_agent("--models", str(shipped_store()), "--preload", "tweets", fresh=True)
    calls = client(own)
    session = calls.create_session()
    model = calls.register_path(session, "tweets", timeout=20)
    for _ in range(40):
        calls.start_run(session, model, ids(101, *range(1000, 1120), 102), 1, 30)
    time.sleep(pause)
    calls.close()
    time.sleep(0.01)
    assert own.stop() == 0, own.text
    assert "vAccel RPC agent stopped" in own.text.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("-a", "localhost:1"), "no scheme"),
        (("-a", "tcp://a"), "): 'tcp://a': expected tcp://HOST:PORT"),
        (("--models", "/nowhere"), "no such directory"),
        (("--vaccel-config", "colour=red"), "unknown key 'colour'"),
        (("--vaccel-config", "log_level=7"), "log_level=7: one of debug, info, warn, error is needed, or a number from 0 to 4"),
        (("--vaccel-config", "profiling_enabled=maybe"), "profiling_enabled=maybe: 1 or 0 is needed"),
        (("--vaccel-config", "log_file"), "log_file has no value; write log_file=VALUE"),
        (("--max-message", "1025"), "a whole number of MiB from 1 to 1024"),
        (("--metrics-address", "nowhere"), "host:port"),
        (("-a", "grpcs://h:1"), "--tls-cert"),
    ],
)
def test_usage_errors_exit_with_2(options: tuple[str, ...], says: str) -> None:
    """The option and what would be right are named; nothing was started."""
    done = subprocess.run([sys.executable, "-m", "agent", *options], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert says in done.stderr


def test_without_models_a_checkout_has_the_model_that_ships(spawn_agent: SpawnAgent) -> None:
    """An agent that runs from a checkout serves the checkout's models, without an option."""
    assert "Preloaded model tweets" in spawn_agent("--preload", "tweets").text


def test_without_models_an_installed_agent_has_no_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no checkout is around the package there is no store, and --preload says which option is missing."""
    monkeypatch.setattr("agent.config._SHIPPED", tmp_path / "models")
    assert AgentConfig().store is None
    assert AgentConfig(models=tmp_path).store == tmp_path
    with pytest.raises(ConfigError, match="give --models"):
        AgentConfig(preload=("x",))


def test_json_logs_are_one_object_a_line(spawn_agent: SpawnAgent) -> None:
    """With --log-format json every line is a JSON object; text logs look like the guide's."""
    lines = [json.loads(line) for line in spawn_agent("--log-format", "json").text.splitlines()]
    assert {"time", "level", "target", "message"} == set(lines[0])
    assert re.search(r"(?m)^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO  agent\] vAccel RPC agent started$", spawn_agent().text)


def test_vsock_can_be_listened_on(spawn_agent: SpawnAgent) -> None:
    """The agent binds a vsock address and listens; connecting would need a second machine."""
    require(hasattr(socket, "AF_VSOCK") and Path("/dev/vsock").exists(), "this kernel has no vsock")
    assert "vsock" in spawn_agent("-a", "vsock://-1:54321").addresses


def test_as_process_one_it_reaps_and_ends(tmp_path: Path) -> None:
    """In a process namespace of its own: orphans do not stay as zombies, whenever they end; SIGTERM ends it with 0."""
    unshare = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]
    unshared = subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0
    require(unshared, "this machine does not let us make a process namespace")
    os.mkfifo(tmp_path / "fifo")
    log = (tmp_path / "log").open("wb")
    program = (
        "import os, subprocess, sys\n"
        f"early = subprocess.Popen(['sh', '-c', '(read line < {tmp_path}/fifo) & exit 0'])\n"
        "os.waitid(os.P_PID, early.pid, os.WEXITED | os.WNOWAIT)\n"
        f"os.execv(sys.executable, [sys.executable, '-m', 'agent', '-a', 'unix://{tmp_path}/a.sock'])\n"
    )
    with contextlib.ExitStack() as stack, log:
        process = subprocess.Popen([*unshare, sys.executable, "-c", program], stdout=log, stderr=log, cwd=ROOT)
        stack.callback(process.kill)
        server = ServerProcess(process, tmp_path / "log")
        server.wait_for("agent ready")
        (inner,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        children = Path(f"/proc/{inner}/task/{inner}/children")
        # First the one that had ended before the agent began is gone, then the one that ends on request.
        for left in (1, 0):
            end = time.monotonic() + 30
            while len(children.read_text().split()) != left:
                assert time.monotonic() < end, children.read_text()
                time.sleep(0.05)
            if left:
                (tmp_path / "fifo").write_text("end\n")
        os.kill(int(inner), signal.SIGTERM)
        assert process.wait(15) == 0


def test_an_agent_without_a_directory_for_uploads_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose file system is read-only: one line says what is missing."""

    def none(**_: str) -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "mkdtemp", none)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/nowhere")
    with pytest.raises(StartError, match=r"no directory for uploads \(TMPDIR\): No usable temporary directory"):
        serve(AgentConfig())
