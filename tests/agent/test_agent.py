"""The agent as a process: options, store, uploads, limits, start and end."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
import torch
from torch import nn

from tests.support.clients import client, ids
from tests.support.optional import require
from tests.support.paths import MODELS, ROOT, TWEETS
from tests.support.servers import ServerProcess, SpawnAgent
from tests.support.torchmodels import Twice
from vaccel_rpc import __version__
from vaccel_rpc.addresses import parse
from vaccel_rpc.channels import connect
from vaccel_rpc.client import TIMINGS, VaccelClient
from vaccel_rpc.dialects import Version
from vaccel_rpc.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
)
from vaccel_rpc.tensors import Tensor, from_values, to_values


class First(nn.Module):
    """Joined and padded rows would disturb it: it looks at how long the row is."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float().sum(1, keepdim=True) / x.shape[1]


SIGNATURE = {
    "format": 1, "name": "first", "problem_type": "regression", "max_length": 20,
    "inputs": [{"name": "x", "dtype": "int64", "dims": ["n", "t"], "pad": 0}],
    "outputs": [{"name": "y", "dtype": "float32", "dims": ["n", 1]}], "batch": "n", "length": "t",
}  # fmt: skip


def saved(module: nn.Module, path: Path, extras: dict[str, str] | None = None) -> bytes:
    torch.jit.save(torch.jit.script(module), str(path), _extra_files=extras or {})
    return path.read_bytes()


@pytest.mark.parametrize("version", ["0.7", "0.8"])
@pytest.mark.parametrize("scheme", ["unix", "tcp", "grpc", "grpc+unix"])
def test_the_client_speaks_both_dialects_over_both_wires(
    agent: ServerProcess, scheme: str, version: Version, tmp_path: Path
) -> None:
    """Sessions, resources by name, digest and bytes, runs, genop, profile: everything that a client does."""
    calls = client(agent, scheme, version)
    session = calls.create_session(flags=1)
    calls.update_session(session, 2)
    model = calls.register_path(session, "tweets", timeout=20)
    calls.load(session, model)
    (logits,) = calls.run(session, model, ids(101, 2204, 2851, 102), 1, timeout=20)
    assert (logits.dtype, logits.dims) == ("float32", (1, 3))
    pending = [calls.start_run(session, model, ids(101, *range(1000, 1000 + n), 102), 1, 30) for n in range(1, 20)]
    assert [run.result().outputs[0].dims for run in pending] == [(1, 3)] * 19
    own = calls.register_bytes(session, saved(Twice(), tmp_path / "double.pt"))
    assert to_values(calls.run(session, own, [from_values("int32", [2], [3, 4])], 1)[0]) == [6, 8]
    assert calls.genop(session, [calls.opcode(0), b"in"], [b"out"]) == [b"out"]
    big = bytes(range(256)) * 10_000
    assert calls.genop_stream(session, [calls.opcode(0), big], [big]) == [big]
    with pytest.raises(Unimplemented, match="never runs client code"):
        calls.genop(session, [calls.opcode(1 if version == "0.8" else 7)])
    profile = calls.profile(session)
    assert {region: len(samples) for region, samples in profile.items()} == dict.fromkeys(
        ("torch_run", "queue", "batch", "forward"), 21
    )
    for whole, queued, batch, forward in zip(
        *(profile[name] for name in ("torch_run", "queue", "batch", "forward")), strict=True
    ):
        assert 0 < forward[1] <= batch[1] <= whole[1]
        assert queued[1] + batch[1] <= whole[1]
        assert whole[0] <= queued[0] <= batch[0] <= forward[0] <= time.time_ns()
    calls.unregister(session, own)
    with pytest.raises(NotFound, match=f"Unknown resource {own}"):
        calls.run(session, own, ids(1), 1)
    other = calls.create_session()
    calls.register_again(other, model)
    calls.destroy_session(session)
    assert calls.run(other, model, ids(101, 102), 1)[0].dims == (1, 3)
    with pytest.raises(NotFound, match=f"Unknown session {session}"):
        calls.destroy_session(session)
    calls.close()
    with pytest.raises(Unavailable):
        calls.create_session()


def test_ids_of_another_connection_are_unknown(agent: ServerProcess) -> None:
    """A session belongs to the connection that made it."""
    one, other = client(agent), client(agent)
    session = one.create_session()
    model = one.register_path(session, "tweets")
    for call in (
        lambda: other.update_session(session, 1),
        lambda: other.register_path(session, "tweets"),
        lambda: other.run(session, model, ids(101, 102), 1),
        lambda: other.unregister(session, model),
        lambda: other.profile(session),
        lambda: other.destroy_session(session),
        lambda: other.sync(model),
    ):
        with pytest.raises(NotFound):
            call()
    mine = other.create_session()
    with pytest.raises(NotFound):
        other.register_again(mine, model)
    assert one.run(session, model, ids(101, 102), 1)[0].dims == (1, 3)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (ids(101, 102)[:1], "2 inputs (input_ids, attention_mask), the request has 1"),
        ([*ids(101, 102)[:1], from_values("int64", [1, 3], [1] * 3)], "input 'attention_mask'"),
        ([from_values("int32", [1, 2], [101, 102]), ids(1, 1)[1]], "input 'input_ids': expected int64"),
        ([Tensor("int64", (1, 2), b"\0" * 15), ids(1, 1)[1]], "in_tensors[0]: int64 [1, 2] needs 16 bytes, the data has 15"),
        ([Tensor("int64", (1, -2), b""), ids(1, 1)[1]], "negative"),
        ([Tensor("int64", (2**62, 2**62), b""), ids(1, 1)[1]], "needs"),
        (ids(*[101] * 129), "length 129 exceeds the model's maximum of 128"),
    ],
)
def test_wrong_tensors_are_named(agent: ServerProcess, inputs: list[Tensor], says: str) -> None:
    """INVALID_ARGUMENT says which tensor and what was expected, before torch sees it; the session stays usable."""
    calls = client(agent)
    session = calls.create_session()
    model = calls.register_path(session, "tweets")
    with pytest.raises(InvalidArgument, match=re.escape(says)):
        calls.run(session, model, inputs, 1)
    with pytest.raises(InvalidArgument, match="2 output tensors were requested; the model has 1"):
        calls.run(session, model, ids(101, 102), 2)
    assert calls.run(session, model, ids(*[101] * 128), 1)[0].dims == (1, 3)


def test_paths_lead_nowhere_but_into_the_store(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """NAME, NAME.pt, sha256 and file:// inside; URLs, dots, other folders and links that lead out are refused."""
    store = tmp_path / "store"
    store.mkdir()
    data = saved(Twice(), store / "double.pt")
    saved(First(), tmp_path / "outside.pt")
    (store / "link.pt").symlink_to(tmp_path / "outside.pt")
    calls = client(spawn_agent("--models", str(store)))
    session = calls.create_session()
    for path in ("double", "double.pt", f"sha256:{hashlib.sha256(data).hexdigest()}", f"file://{store}/double.pt"):
        assert calls.register_path(session, path) > 0
    for path in (
        "../outside.pt",
        "link",
        "/etc/passwd",
        f"file://{tmp_path}/outside.pt",
        "http://host/double.pt",
        "file:///etc/../etc/x.pt",
    ):
        with pytest.raises(PermissionDenied):
            calls.register_path(session, path)
    for path in ("nothing", "sha256:" + "0" * 64):
        with pytest.raises(NotFound):
            calls.register_path(session, path)
    with pytest.raises(InvalidArgument, match="the path is empty"):
        calls.register_path(session, "")


def test_upload_policies(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """allow runs any TorchScript, known what the store has, deny nothing; the refusal names the option."""
    store = tmp_path / "store"
    store.mkdir()
    known, new = saved(Twice(), store / "double.pt"), saved(First(), tmp_path / "first.pt")
    for policy, takes_known, takes_new in (("allow", True, True), ("known", True, False), ("deny", False, False)):
        calls = client(spawn_agent("--models", str(store), "--uploads", policy))
        session = calls.create_session()
        for data, taken in ((known, takes_known), (new, takes_new)):
            if taken:
                assert calls.register_bytes(session, data) > 0
            else:
                with pytest.raises(PermissionDenied, match=f"--uploads {policy}"):
                    calls.register_bytes(session, data)
    default = client(spawn_agent("-a", "tcp://127.0.0.1:0", "--models", str(store)), "tcp")
    with pytest.raises(PermissionDenied, match="--uploads known"):
        default.register_bytes(default.create_session(), new)


def test_what_is_no_model_is_refused_and_the_session_goes_on(agent: ServerProcess, tmp_path: Path) -> None:
    """Text, a damaged archive, a zip of something else, torch.export bytes."""
    good = saved(Twice(), tmp_path / "double.pt")
    exported = tmp_path / "double.pt2"
    torch.export.save(torch.export.export(Twice(), (torch.ones(2),)), exported)
    calls = client(agent)
    session = calls.create_session()
    for data, says in (
        (b"hello", "not a model"),
        (good[: len(good) // 2], "not a model"),
        (exported.read_bytes(), "from the store alone"),
    ):
        with pytest.raises(InvalidArgument, match=says):
            calls.register_bytes(session, data)
    damaged = good.replace(b"constants", b"c0nstants").replace(b"forward", b"f0rward")
    with pytest.raises(InvalidArgument):
        calls.load(session, calls.register_bytes(session, damaged))
    assert calls.register_bytes(session, good) > 0


def test_the_same_content_is_loaded_once_and_uploads_vanish(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Two clients, one load; the file goes with the last reference, the agent's private folder with the agent."""
    data = saved(Twice(), tmp_path / "double.pt")
    private = tmp_path / "tmp"
    private.mkdir()
    agent = spawn_agent(env={"TMPDIR": str(private)})
    clients = [client(agent) for _ in range(3)]
    for calls in clients:
        session = calls.create_session()
        model = calls.register_bytes(session, data, "double.pt")
        assert to_values(calls.run(session, model, [from_values("int64", [1], [21])], 1)[0]) == [42]
        assert calls.sync(model) == data
    (folder,) = private.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.iterdir()] == [hashlib.sha256(data).hexdigest()]
    for calls in clients:
        calls.close()
    end = time.monotonic() + 5
    while list(folder.iterdir()) and time.monotonic() < end:
        time.sleep(0.02)
    assert list(folder.iterdir()) == []
    again = client(agent)
    session = again.create_session()
    with pytest.raises(NotFound):
        again.register_path(session, f"sha256:{hashlib.sha256(data).hexdigest()}")
    model = again.register_bytes(session, data)
    assert to_values(again.run(session, model, [from_values("int64", [1], [4])], 1)[0]) == [8]
    assert agent.text.count("Loaded model") == 1
    assert agent.stop() == 0
    assert list(private.iterdir()) == []


def test_a_damaged_store_file_is_not_loaded(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """The digest beside a model is checked when it is loaded; preloading such a model ends the agent with a line."""
    saved(Twice(), tmp_path / "double.pt")
    (tmp_path / "double.pt.sha256").write_text("0" * 64 + "  double.pt\n")
    calls = client(spawn_agent("--models", str(tmp_path)))
    session = calls.create_session()
    model = calls.register_path(session, "double")
    with pytest.raises(FailedPrecondition, match=r"double\.pt\.sha256"):
        calls.load(session, model)
    preloading = spawn_agent("--models", str(tmp_path), "--preload", "all", ready=False)
    assert preloading.process.wait(30) == 1
    assert "--preload" in preloading.text
    assert "Traceback" not in preloading.text


def test_a_model_that_padding_disturbs_is_run_alone(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Its signature asks for batches, the warm-up finds the difference, a log line says so, and its answers are right."""
    saved(First(), tmp_path / "first.pt", {"signature.json": json.dumps(SIGNATURE)})
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
    (tmp_path / "tweets.pt").symlink_to(TWEETS)
    store = tmp_path / "store"
    store.mkdir()
    (store / "tweets.pt").write_bytes(TWEETS.read_bytes())
    subprocess.run(
        [sys.executable, "-m", "models.export", "pt2", str(TWEETS), "-o", str(store / "other.pt2")], check=True, cwd=ROOT
    )
    calls = client(spawn_agent("--models", str(store), "--preload", "all"))
    session = calls.create_session()
    script, export = (calls.register_path(session, name) for name in ("tweets", "other"))
    rows = [ids(101, *(1996 + (7 * n + k) % 5000 for k in range(n % 40)), 102) for n in range(200)]
    alone = [to_values(calls.run(session, script, row, 1)[0]) for row in rows]
    for model in (script, export):
        together = [run.result().outputs for run in [calls.start_run(session, model, row, 1, 60) for row in rows]]
        worst = max(
            abs(a - b)
            for one, tensors in zip(alone, together, strict=True)
            for a, b in zip(one, to_values(tensors[0]), strict=True)
        )
        assert worst < 1e-4


def test_large_messages_are_not_held_several_times(spawn_agent: SpawnAgent) -> None:
    """An upload of 300 MB costs the agent less than 1.5 times that, and above --max-buffer it is refused, not held."""
    agent = spawn_agent("--max-buffer", "400")

    def peak() -> int:
        return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{agent.process.pid}/status").read_text())[1]) // 1024  # type: ignore[index]

    before = peak()
    calls = client(agent)
    session = calls.create_session()
    with pytest.raises(InvalidArgument, match="not a model"):
        calls.register_bytes(session, bytes(300 << 20), timeout=60)
    assert peak() - before < 450
    with pytest.raises(ResourceExhausted, match="--max-buffer"):
        calls.register_bytes(session, bytes(500 << 20), timeout=60)
    assert calls.create_session() > session


def test_sessions_end_when_idle_and_have_a_limit(spawn_agent: SpawnAgent) -> None:
    """One more than --max-sessions is RESOURCE_EXHAUSTED; an unused one ends after --idle-session-s."""
    calls = client(spawn_agent("--max-sessions", "2", "--idle-session-s", "0.5"))
    sessions = [calls.create_session(), calls.create_session()]
    with pytest.raises(ResourceExhausted, match="--max-sessions"):
        calls.create_session()
    end = time.monotonic() + 5
    while time.monotonic() < end:
        time.sleep(0.1)
        try:
            assert calls.create_session() not in sessions
            return
        except ResourceExhausted:
            continue
    raise AssertionError("no session ended")


def test_sigterm_finishes_what_runs(spawn_agent: SpawnAgent) -> None:
    """A run under way is answered, idle connections delay nothing, exit code 0, the socket file is gone."""
    agent = spawn_agent("--models", str(MODELS), "--preload", "tweets", fresh=True)
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
    """One line, exit code 1."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        agent = spawn_agent("-a", f"{scheme}://127.0.0.1:{other.getsockname()[1]}", ready=False)
        assert agent.process.wait(20) == 1
    assert "cannot listen" in agent.text
    assert "Traceback" not in agent.text


@pytest.mark.parametrize("scheme", ["unix", "grpc"])
@pytest.mark.parametrize("version", ["0.7", "0.8"])
def test_a_run_tells_its_times_to_who_asks(agent: ServerProcess, scheme: str, version: Version) -> None:
    """Seconds in the queue and in the model, rows of the batch; nobody else's answer changes by a byte."""
    calls = VaccelClient(connect(parse(agent.addresses[scheme]), 5), version)
    session = calls.create_session()
    model = calls.register_path(session, "tweets", timeout=20)
    asked = calls.start_run(session, model, ids(101, 2204, 102), 1, 20, {TIMINGS: "1", "traceparent": "x"}).result()
    assert asked.timings
    assert asked.timings.rows == 1
    assert 0 <= asked.timings.queue < 20
    assert 0 < asked.timings.forward < 20
    pending = calls.start_run(session, model, ids(101, 2204, 102), 1, 20)
    reply = pending.reply.result()
    assert calls.start_run(session, model, ids(101, 2204, 102), 1, 20, {TIMINGS: "0"}).result().timings is None
    assert len(reply) < 40, "a message of one float32 [1, 3] and nothing else"
    calls.close()


def test_the_environment_says_what_options_say(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """As an image sets it; a store without a model is no store to preload from."""
    agent = spawn_agent(env={"VACCEL_AGENT_MODELS": str(MODELS), "VACCEL_AGENT_PRELOAD": "all"})
    assert "Preloaded model tweets" in agent.text
    empty = spawn_agent(ready=False, env={"VACCEL_AGENT_MODELS": str(tmp_path), "VACCEL_AGENT_PRELOAD": "all"})
    assert empty.process.wait(30) == 1
    assert f"vaccel-rpc-agent: --preload: no model (NAME.pt, NAME.pt2) in {tmp_path}" in empty.text
    assert "Traceback" not in empty.text


def test_metrics_and_health(agent: ServerProcess) -> None:
    """What was called is counted; health and readiness answer."""
    calls = client(agent)
    calls.create_session()
    url = agent.wait_for(r"Metrics and health on '(http://[^']+)'")[1]
    text = requests.get(url + "/metrics", timeout=5).text
    assert re.search(r'vaccel_rpc_requests_total{code="OK",method="CreateSession"} [1-9]', text)
    session = calls.create_session()
    calls.run(session, calls.register_path(session, "tweets", timeout=20), ids(101, 2204, 102), 1, 20)
    text = requests.get(url + "/metrics", timeout=5).text
    for series in (
        'vaccel_batches_total{reason="drained"}', 'vaccel_model_run_duration_seconds_count{model="tweets"}', "vaccel_batch_tokens_total",
        "vaccel_batch_size_count", "vaccel_queue_duration_seconds_count", "vaccel_models_bytes", "vaccel_sessions", "vaccel_resources",
    ):  # fmt: skip
        assert re.search(rf"^{re.escape(series)} [1-9]", text, re.MULTILINE), series
    digest = (MODELS / "tweets.pt.sha256").read_text().split()[0]
    process = f'vaccel_agent_info{{pid="{agent.process.pid}",version="{__version__}"}} 1.0'
    once = 'vaccel_model_loads_total{model="tweets"} 1.0'
    for line in (process, once, f'vaccel_model_loaded{{model="tweets",precision="exact",sha256="{digest}"}} 1.0'):
        assert line in text.splitlines()
    for series in ("vaccel_queue_requests", "vaccel_queue_tokens", "vaccel_queue_estimated_wait_seconds"):
        assert re.search(rf"^{series} 0.0$", text, re.MULTILINE), series
    assert requests.get(url + "/readyz", timeout=5).status_code == 200
    assert requests.get(url + "/healthz", timeout=5).status_code == 200
    assert requests.get(url + "/nothing", timeout=5).status_code == 404


@pytest.mark.parametrize("pause", [0.01, 0.05, 0.1])
def test_it_ends_while_a_batch_runs_for_nobody(spawn_agent: SpawnAgent, pause: float) -> None:
    """SIGTERM just after a client has gone whose batches still run: exit code 0 all the same, no abort."""
    own = spawn_agent("--models", str(MODELS), "--preload", "tweets", fresh=True)
    calls = client(own)
    session = calls.create_session()
    model = calls.register_path(session, "tweets", timeout=20)
    for _ in range(40):
        calls.start_run(session, model, ids(101, *range(1000, 1120), 102), 1, 30)
    time.sleep(pause)
    calls.close()
    time.sleep(0.01)
    assert own.stop() == 0, own.text
    assert own.text.splitlines()[-1].endswith("vAccel RPC agent stopped")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("-a", "localhost:1"), "no scheme"),
        (("--models", "/nowhere"), "no such directory"),
        (("--preload", "x"), "give --models"),
        (("--vaccel-config", "colour=red"), "unknown key 'colour'"),
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


def test_json_logs_are_one_object_a_line(spawn_agent: SpawnAgent) -> None:
    """Every line parses; text logs look like the guide's."""
    lines = [json.loads(line) for line in spawn_agent("--log-format", "json").text.splitlines()]
    assert {"time", "level", "target", "message"} == set(lines[0])
    assert re.search(r"(?m)^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO  agent\] vAccel RPC agent started$", spawn_agent().text)


def test_vsock_can_be_listened_on(spawn_agent: SpawnAgent) -> None:
    """Bind and listen; connecting needs a second machine."""
    require(hasattr(socket, "AF_VSOCK") and Path("/dev/vsock").exists(), "this kernel has no vsock")
    assert "vsock" in spawn_agent("-a", "vsock://-1:54321").addresses


class Greedy(nn.Module):
    def forward(self, size: torch.Tensor) -> torch.Tensor:
        return torch.zeros(int(size.item())).sum().reshape(1)


def test_out_of_memory_is_resource_exhausted_and_the_agent_lives(agent: ServerProcess, tmp_path: Path) -> None:
    """A run that needs more than there is fails alone."""
    calls = client(agent)
    session = calls.create_session()
    model = calls.register_bytes(session, saved(Greedy(), tmp_path / "greedy.pt"))
    with pytest.raises(ResourceExhausted, match="more memory than there is"):
        calls.run(session, model, [from_values("int64", [1], [2**46])], 1)
    assert to_values(calls.run(session, model, [from_values("int64", [1], [4])], 1)[0]) == [0.0]


def test_as_process_one_it_reaps_and_ends(tmp_path: Path) -> None:
    """In a process namespace of its own: orphans do not stay as zombies, whenever they end; SIGTERM ends it with 0."""
    unshare = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]
    made = subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0
    require(made, "this machine does not let us make a process namespace")
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
        # First the one that had ended before the agent began is gone, then the one that ends when it is told to.
        for left in (1, 0):
            end = time.monotonic() + 30
            while len(children.read_text().split()) != left:
                assert time.monotonic() < end, children.read_text()
                time.sleep(0.05)
            if left:
                (tmp_path / "fifo").write_text("end\n")
        os.kill(int(inner), signal.SIGTERM)
        assert process.wait(15) == 0
