"""The agent as a process: options, store, uploads, limits, start and end."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import requests

from tests.support.clients import client, ids
from tests.support.paths import MODELS
from tests.support.servers import ServerProcess, SpawnAgent
from tests.support.torchmodels import Twice, saved
from vaccel_rpc import __version__
from vaccel_rpc.dialects import Version
from vaccel_rpc.errors import (
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
)
from vaccel_rpc.tensors import Tensor, from_values, to_values


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
    regions = [f"[vaccel-rpc-agent] {name}" for name in ("torch_run", "queue", "batch", "forward")]
    assert {region: len(samples) for region, samples in profile.items()} == dict.fromkeys(regions, 21)
    for whole_run, queued, batch, forward in zip(*(profile[region] for region in regions), strict=True):
        assert 0 < forward[1] <= batch[1] <= whole_run[1]
        assert queued[1] + batch[1] <= whole_run[1]
        assert whole_run[0] <= queued[0] <= batch[0] <= forward[0] <= time.time_ns()
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
    owner, other = client(agent), client(agent)
    session = owner.create_session()
    model = owner.register_path(session, "tweets")
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
    assert owner.run(session, model, ids(101, 102), 1)[0].dims == (1, 3)


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
    for line in (
        process,
        once,
        f'vaccel_model_loaded{{file="tweets.pt",model="tweets",precision="exact",sha256="{digest}"}} 1.0',
    ):
        assert line in text.splitlines()
    for series in (
        "vaccel_queue_requests",
        "vaccel_running_requests",
        "vaccel_queue_tokens",
        "vaccel_queue_estimated_wait_seconds",
    ):
        assert re.search(rf"^{series} 0.0$", text, re.MULTILINE), series
    assert requests.get(url + "/readyz", timeout=5).status_code == 200
    assert requests.get(url + "/healthz", timeout=5).status_code == 200
    assert requests.get(url + "/nothing", timeout=5).status_code == 404
