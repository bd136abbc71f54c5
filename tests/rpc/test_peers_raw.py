"""A client of raw bytes takes the usual steps, in both dialects, over unix and tcp."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.paths import shipped_store
from tests.support.peers import tweets, wire
from tests.support.peers.dialects import DIALECTS, FLOAT32, OLD_07, SYNC_08, DialectNames, Steps, decode_outputs
from tests.support.peers.raw_ttrpc import NOT_FOUND, OK, CallFailed, RawClient
from tests.support.servers import ServerProcess

BOTH = pytest.mark.parametrize("dialect", [SYNC_08, OLD_07], ids=["0.8", "0.7"])


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize("scheme", ["unix", "tcp"])
def test_walk(agent: ServerProcess, scheme: str, dialect: DialectNames) -> None:
    """Create, register the 45 MB by bytes, run, register by the digest, unregister, destroy; the answers are torch's own."""
    with RawClient(agent.addresses[scheme]) as client:
        steps = Steps(client.ok, dialect)
        session = steps.create_session()
        by_bytes = steps.register_bytes(session, tweets.data())
        assert session > 0
        assert by_bytes > 0
        check_answers(steps, session, by_bytes)
        by_digest = steps.register_path(session, f"sha256:{tweets.digest()}")
        check_answers(steps, session, by_digest)
        steps.update_session(session)
        steps.unregister(session, by_bytes)
        check_answers(steps, session, by_digest)
        steps.unregister(session, by_digest)
        with pytest.raises(CallFailed, match="code 5"):
            steps.run(session, by_digest, tweets.inputs("birds"))
        steps.destroy_session(session)
        with pytest.raises(CallFailed, match=f"code 5: Unknown session {session}"):
            steps.update_session(session)


def check_answers(steps: Steps, session: int, model: int) -> None:
    """Every text gives one float32 [1, 3] equal to torch's own."""
    for text in tweets.TEXTS:
        (out,) = steps.run(session, model, tweets.inputs(text))
        assert (out.dims, out.type) == ((1, 3), FLOAT32)
        assert not tweets.differ(out.numbers(), tweets.logits(text)), (text, out.numbers(), tweets.logits(text))


@pytest.mark.parametrize(
    "path",
    ["tweets", "tweets.pt", f"sha256:{tweets.digest()}", f"file://{shipped_store()}/tweets.pt"],
    ids=["name", "file", "sha256", "path"],
)
def test_registered_by_every_kind_of_path(client: RawClient, path: str) -> None:
    """The four ways to name a model of the store reach the same model."""
    steps = Steps(client.ok, SYNC_08)
    session = steps.create_session()
    model = steps.register_path(session, path)
    (out,) = steps.run(session, model, tweets.inputs(tweets.TEXTS[0]))
    assert not tweets.differ(out.numbers(), tweets.logits(tweets.TEXTS[0]))


@BOTH
def test_resource_shared_by_sessions(client: RawClient, dialect: DialectNames) -> None:
    """A resource lives until the last session of its connection has left it, whichever made it."""
    steps = Steps(client.ok, dialect)
    first, second = steps.create_session(), steps.create_session()
    model = steps.register_path(first, "tweets")
    with pytest.raises(CallFailed, match="code 5"):
        steps.run(second, model, tweets.inputs("birds"))
    assert steps.share(second, model) == model
    steps.unregister(first, model)
    assert steps.run(second, model, tweets.inputs("birds"))[0].dims == (1, 3)
    steps.destroy_session(second)
    third = steps.create_session()
    with pytest.raises(CallFailed) as failed:
        steps.share(third, model)
    assert failed.value.reply.code == NOT_FOUND


def test_many_calls_in_flight(client: RawClient) -> None:
    """Fifty runs sent before the first answer is read: each is answered once, rightly, in whatever order."""
    steps = Steps(client.ok, SYNC_08)
    session = steps.create_session()
    model = steps.register_path(session, "tweets")
    texts = [tweets.TEXTS[i % len(tweets.TEXTS)] for i in range(50)]
    waiting = {
        client.start(SYNC_08.service, "TorchModelRun", SYNC_08.run(session, model, tweets.inputs(text))): text for text in texts
    }
    while waiting:
        stream, reply = client.next_answer()
        text = waiting.pop(stream)
        assert reply.code == OK, reply
        (out,) = decode_outputs(reply.payload)
        assert not tweets.differ(out.numbers(), tweets.logits(text))


def test_unpacked_dims(client: RawClient) -> None:
    """Dims sent one varint a field, as an encoder may, are the same dims."""
    steps = Steps(client.ok, SYNC_08)
    session = steps.create_session()
    model = steps.register_path(session, "tweets")
    tensors = [
        (4, wire.message((1, tensor.data), *[(2, dim) for dim in tensor.dims], (3, tensor.type)))
        for tensor in tweets.inputs("birds")
    ]
    payload = client.ok(SYNC_08.service, "TorchModelRun", wire.message((1, session), (2, model), *tensors, (5, 1)))
    assert not tweets.differ(decode_outputs(payload)[0].numbers(), tweets.logits("birds"))


def test_load_before_the_first_run(client: RawClient) -> None:
    """TorchModelLoad answers with nothing and changes nothing about the run after it."""
    steps = Steps(client.ok, SYNC_08)
    session = steps.create_session()
    model = steps.register_path(session, "tweets")
    assert client.ok(SYNC_08.service, "TorchModelLoad", wire.message((1, session), (2, model))) == b""
    check_answers(steps, session, model)


@BOTH
def test_run_times(client: RawClient, dialect: DialectNames) -> None:
    """After a run the profiler has at least one sample that took time, in the dialect's own shape."""
    steps = Steps(client.ok, dialect)
    session = steps.create_session()
    steps.run(session, steps.register_path(session, "tweets"), tweets.inputs("birds"))
    answer = wire.decode(client.ok(dialect.service, dialect.profile_method, wire.message((1, session))))
    if dialect is OLD_07:
        samples = [sample for region in wire.blobs(answer, 1) for sample in wire.blobs(wire.decode(region), 2)]
    else:
        entries = [wire.decode(entry) for entry in wire.blobs(wire.decode(wire.blob(answer, 1)), 2)]
        samples = [sample for entry in entries for sample in wire.blobs(wire.decode(wire.blob(entry, 2)), 1)]
    assert any(wire.integer(wire.decode(sample), 2) > 0 for sample in samples)


def test_session_ends_with_its_connection(agent: ServerProcess) -> None:
    """Once its connection is closed, a session's id means nothing to another connection, in either dialect."""
    with RawClient(agent.addresses["unix"]) as gone:
        session = Steps(gone.ok, SYNC_08).create_session()
    with RawClient(agent.addresses["unix"]) as client:
        for dialect in (SYNC_08, OLD_07):
            with pytest.raises(CallFailed, match=f"code 5: Unknown session {session}"):
                Steps(client.ok, dialect).update_session(session)


def test_fuzz_for_seconds() -> None:
    """Five seconds of the fuzzer: every call of the correct client beside it is right and the agent logs no traceback."""
    command = [sys.executable, "-m", "benchmarks.fuzz", "--seconds", "5", "--seed", "1"]
    done = subprocess.run(command, cwd=tweets.PATH.parents[1], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 wrong, 0 failed" in done.stdout
