"""What models look like on the wire to a client of raw bytes: dtypes, outputs, failures, a full queue, deadlines, uploads."""

from __future__ import annotations

import struct
import time
from dataclasses import replace
from errno import EAGAIN
from pathlib import Path

import pytest

from tests.support.peers import wire
from tests.support.peers.dialects import FLOAT32, INT64, OLD_07, SYNC_08, DialectNames, RawTensor, Steps, decode_outputs, int64
from tests.support.peers.raw_ttrpc import (
    DEADLINE_EXCEEDED,
    INTERNAL,
    INVALID_ARGUMENT,
    OK,
    PERMISSION_DENIED,
    RESOURCE_EXHAUSTED,
    UNIMPLEMENTED,
    CallFailed,
    RawClient,
    RawReply,
)
from tests.support.servers import SpawnAgent
from tests.support.torchmodels import (
    DTYPES,
    Copies,
    Doubles,
    MaskedSum,
    Refuses,
    Slow,
    TwoAndTwo,
    UnmaskedMean,
    batchable_signature,
    save,
    saved,
)

BOTH = pytest.mark.parametrize("dialect", [SYNC_08, OLD_07], ids=["0.8", "0.7"])
CODES = {name: number for number, name in enumerate(("uint8", "int8", "int16", "int32", "int64", "float16", "float32"), start=1)}
SIZES = {"uint8": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "float16": 2, "float32": 4}
LONG = 8_000


def prepared(client: RawClient, dialect: DialectNames, data: bytes) -> tuple[Steps, int, int]:
    """The steps with a new session and a model registered by its bytes."""
    steps = Steps(client.ok, dialect)
    session = steps.create_session()
    return steps, session, steps.register_bytes(session, data)


def run(
    client: RawClient, dialect: DialectNames, session: int, model: int, tensors: list[RawTensor], outputs: int = 1
) -> RawReply:
    """One run, whatever its status."""
    return client.call(dialect.service, dialect.run_method, dialect.run(session, model, tensors, outputs))


@BOTH
def test_every_dtype(client: RawClient, dialect: DialectNames, tmp_path: Path) -> None:
    """Each of the seven dtypes comes back byte for byte with its dims, a tensor without elements too; without dims it is [1]."""
    steps, session, model = prepared(client, dialect, saved(Copies(), tmp_path / "echo.pt"))
    for name in DTYPES:
        for dims, count in (((2, 3), 6), ((0, 3), 0), ((), 1)):
            sent = RawTensor(bytes(range(1, 1 + count * SIZES[name])), dims, CODES[name])
            assert steps.run(session, model, [sent]) == [replace(sent, dims=dims or (1,))]


@BOTH
def test_two_inputs_two_outputs(client: RawClient, dialect: DialectNames, tmp_path: Path) -> None:
    """Outputs come in the model's order, each with its own dtype and dims."""
    steps, session, model = prepared(client, dialect, saved(TwoAndTwo(), tmp_path / "two.pt"))
    halves = RawTensor(struct.pack("<2f", 0.5, -1.5), (2,), FLOAT32)
    doubled, successors = steps.run(session, model, [halves, int64([7, 8, 9], 3)], outputs=2)
    assert doubled == RawTensor(struct.pack("<2f", 1.0, -3.0), (2,), FLOAT32)
    assert successors == RawTensor(struct.pack("<3q", 8, 9, 10), (3,), INT64)
    reply = run(client, dialect, session, model, [halves, int64([7, 8, 9], 3)], outputs=1)
    assert reply.code == INVALID_ARGUMENT
    assert "2" in reply.message


@BOTH
def test_a_model_that_raises(client: RawClient, dialect: DialectNames, tmp_path: Path) -> None:
    """INTERNAL with the model's own words, and one detail: the dialect's error, type FFI with an errno; the next run is fine."""
    steps, session, model = prepared(client, dialect, saved(Refuses(), tmp_path / "refuses.pt"))
    reply = run(client, dialect, session, model, [int64([-1], 1)])
    assert reply.code == INTERNAL
    assert "negative numbers are refused" in reply.message
    ((type_url, value),) = reply.details
    assert type_url == dialect.error_type
    error = wire.decode(value)
    assert wire.integer(error, 1) == 0
    assert wire.integer(error, 2) > 0
    assert steps.run(session, model, [int64([5], 1)]) == [int64([5], 1)]


@BOTH
def test_dtype_without_a_number(client: RawClient, dialect: DialectNames, tmp_path: Path) -> None:
    """An output of float64 is UNIMPLEMENTED, naming the dtype."""
    _, session, model = prepared(client, dialect, saved(Doubles(), tmp_path / "doubles.pt"))
    reply = run(client, dialect, session, model, [int64([1], 1)])
    assert (reply.code, "float64" in reply.message) == (UNIMPLEMENTED, True), reply


@pytest.mark.parametrize("module", [MaskedSum, UnmaskedMean])
def test_joined_answers_are_those_alone(client: RawClient, tmp_path: Path, module: type[MaskedSum | UnmaskedMean]) -> None:
    """Rows of unequal length in flight together get the answers they get alone, also where padding would change them."""
    steps, session, model = prepared(client, SYNC_08, saved(module(), tmp_path / "batch.pt", batchable_signature("batch")))
    lengths = (1, 3, 5, 5, 7, 2, 8, 4, 6, 6, 1, 9)
    rows = [[int64(range(1, n + 1)), int64([1] * n)] for n in lengths]
    alone = [steps.run(session, model, row)[0].numbers() for row in rows]
    streams = [client.start(SYNC_08.service, "TorchModelRun", SYNC_08.run(session, model, row)) for row in rows]
    together = [decode_outputs(client.answer(stream).payload)[0].numbers() for stream in streams]
    expected = [[sum(range(n + 1)), n] if module is MaskedSum else [(n + 1) / 2, n] for n in lengths]
    for answers in (alone, together):
        assert [pytest.approx(row) for row in expected] == answers


def test_full_queue(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """With room for one in the queue, some of many slow runs are refused with EAGAIN and a RetryInfo, and the others are answered."""
    save(Slow(), tmp_path / "slow.pt")
    agent = spawn_agent("--models", str(tmp_path), "--max-queue", "1")
    with RawClient(agent.addresses["unix"]) as client:
        steps = Steps(client.ok, SYNC_08)
        session = steps.create_session()
        model = steps.register_path(session, "slow")
        steps.run(session, model, [int64([1], 1)])
        payload = SYNC_08.run(session, model, [int64([LONG], 1)])
        replies = [
            client.answer(stream) for stream in [client.start(SYNC_08.service, "TorchModelRun", payload) for _ in range(8)]
        ]
        refused = [reply for reply in replies if reply.code != OK]
        assert 0 < len(refused) < 8
        for reply in refused:
            assert reply.code == RESOURCE_EXHAUSTED
            assert reply.details[0] == (SYNC_08.error_type, wire.message((2, EAGAIN)))
            info = dict(reply.details)["type.googleapis.com/google.rpc.RetryInfo"]
            delay = wire.decode(wire.blob(wire.decode(info), 1))
            assert wire.integer(delay, 1) + wire.integer(delay, 2) > 0
        assert steps.run(session, model, [int64([1], 1)])[0].numbers() == [128.0]


@BOTH
def test_deadline(client: RawClient, dialect: DialectNames, tmp_path: Path) -> None:
    """Past ``timeout_nano`` the caller gets DEADLINE_EXCEEDED, a nanosecond or in the middle of a run; the connection goes on."""
    _, session, model = prepared(client, dialect, saved(Slow(), tmp_path / "slow.pt"))
    payload = dialect.run(session, model, [int64([LONG], 1)])
    for timeout_nano in (1, 100_000_000):
        reply = client.call(dialect.service, dialect.run_method, payload, timeout_nano=timeout_nano)
        assert reply.code == DEADLINE_EXCEEDED
    for timeout_nano in (0, -5, 60 * 10**9):
        short = dialect.run(session, model, [int64([1], 1)])
        assert client.call(dialect.service, dialect.run_method, short, timeout_nano=timeout_nano).code == OK


def test_expired_call_leaves_the_queue(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """A queued call whose deadline passes makes room in the queue while what runs is still running."""
    save(Slow(), tmp_path / "slow.pt")
    agent = spawn_agent("--models", str(tmp_path), "--max-queue", "1", "--threads", "1")
    with RawClient(agent.addresses["unix"]) as client:
        steps = Steps(client.ok, SYNC_08)
        session = steps.create_session()
        model = steps.register_path(session, "slow")
        steps.run(session, model, [int64([1], 1)])
        long = SYNC_08.run(session, model, [int64([5 * LONG], 1)])
        first = client.start(SYNC_08.service, "TorchModelRun", long)
        time.sleep(0.5)  # a worker takes it out of the queue
        expiring = [client.start(SYNC_08.service, "TorchModelRun", long, timeout_nano=300_000_000) for _ in range(8)]
        codes = [client.answer(stream).code for stream in expiring]
        assert codes.count(DEADLINE_EXCEEDED) >= 1
        assert set(codes) == {DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED}
        after = client.start(SYNC_08.service, "TorchModelRun", SYNC_08.run(session, model, [int64([1], 1)]))
        assert client.answer(after).code == OK
        assert client.answer(first).code == OK


def test_upload_policy(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """``known`` runs bytes that are a model of the store and no others, ``deny`` none; the refusal names the option."""
    store = tmp_path / "store"
    store.mkdir()
    stored, other = saved(Copies(), store / "echo.pt"), saved(Refuses(), tmp_path / "other.pt")
    for policy, accepted in (("known", True), ("deny", False)):
        agent = spawn_agent("--models", str(store), "--uploads", policy)
        with RawClient(agent.addresses["unix"]) as client:
            steps = Steps(client.ok, SYNC_08)
            session = steps.create_session()
            for data, expected in ((stored, accepted), (other, False)):
                reply = client.call(SYNC_08.service, "RegisterResource", SYNC_08.register(session, blobs=[data]))
                assert reply.code == (OK if expected else PERMISSION_DENIED), (policy, reply)
                assert expected or "--uploads" in reply.message
            assert steps.run(session, steps.register_path(session, "echo"), [int64([5], 1)]) == [int64([5], 1)]


def test_uploads_on_a_network_address(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Without the option, an agent on tcp does not run bytes it does not know."""
    agent = spawn_agent("-a", "tcp://127.0.0.1:0")
    with RawClient(agent.addresses["tcp"]) as client:
        steps = Steps(client.ok, OLD_07)
        session = steps.create_session()
        with pytest.raises(CallFailed) as failed:
            steps.register_bytes(session, saved(Copies(), tmp_path / "echo.pt"))
        assert failed.value.reply.code == PERMISSION_DENIED


def test_sync_resource(client: RawClient, tmp_path: Path) -> None:
    """A client gets back the bytes it uploaded; of a model of the store it gets PERMISSION_DENIED."""
    data = saved(Copies(), tmp_path / "echo.pt")
    steps, session, model = prepared(client, SYNC_08, data)
    (blob,) = wire.blobs(wire.decode(client.ok(SYNC_08.service, "SyncResource", wire.message((1, model)))), 1)
    assert wire.blob(wire.decode(blob), 3) == data
    assert wire.integer(wire.decode(blob), 4) == len(data)
    stored = steps.register_path(session, "tweets")
    assert client.call(SYNC_08.service, "SyncResource", wire.message((1, stored))).code == PERMISSION_DENIED
