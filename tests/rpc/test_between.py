"""The dialects that upstream's main branch spoke between 0.7 and 0.8, by clients of raw bytes."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from tests.support.peers import wire
from tests.support.peers.dialects import (
    ASYNC_08,
    AUGUST_ASYNC,
    AUGUST_SYNC,
    FLOAT32,
    JULY,
    OLD_07,
    SYNC_08,
    DialectNames,
    RawTensor,
    Steps,
)
from tests.support.peers.raw_ttrpc import INTERNAL, INVALID_ARGUMENT, OK, UNIMPLEMENTED, RawClient, RawReply
from tests.support.recorded import WIRE
from tests.support.servers import ServerProcess
from vaccel_rpc.addresses import parse
from vaccel_rpc.channels import connect
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.dialects import Version
from vaccel_rpc.tensors import from_values, to_values

#: ``x * 2 + 1`` of a float32 tensor [1, 4].
AFFINE = (WIRE / "affine.pt").read_bytes()
X = RawTensor(b"\0\0\0\0\0\0\x80\x3f\0\0\x20\xc0\0\0\xc8\x42", (1, 4), FLOAT32)
Y = [1.0, 3.0, -4.0, 201.0]
#: Fields of Blob, and its type for a file's bytes.
TYPE, NAME, DATA, SIZE, MAPPED = 1, 2, 3, 4, 2


@pytest.fixture(params=["unix", "tcp"])
def client(agent: ServerProcess, request: pytest.FixtureRequest) -> Iterator[RawClient]:
    """A client with a connection of its own."""
    with RawClient(agent.addresses[request.param]) as connection:
        yield connection


def register(session: int, *blobs: bytes) -> bytes:
    """A register request of ``vaccel.AgentService`` with messages in field 2."""
    return wire.message(*[(2, blob) for blob in blobs], (3, 2), (4, -1), (5, session))


def given_back(reply: RawReply, dialect: DialectNames) -> list[bytes]:
    """The bytes of the arguments in a genop's answer."""
    assert reply.code == OK, reply
    return arguments(reply.payload, dialect)


def arguments(payload: bytes, dialect: DialectNames) -> list[bytes]:
    """The bytes of the arguments in a genop's reply, which has no field of another dialect."""
    args = [wire.decode(arg) for arg in wire.blobs(wire.decode(payload), 1)]
    assert all(set(arg) <= {*dialect.arg_fields, dialect.arg_type_field} for arg in args)
    return [wire.blob(arg, dialect.arg_fields[0]) for arg in args]


@pytest.mark.parametrize(
    "blob",
    [
        wire.message((TYPE, MAPPED), (NAME, "affine.pt"), (DATA, AFFINE), (SIZE, len(AFFINE))),
        wire.message((NAME, "affine.pt"), (DATA, AFFINE), (SIZE, len(AFFINE))),
        wire.message((DATA, AFFINE)),
        wire.message((SIZE, len(AFFINE)), (DATA, AFFINE)),
    ],
    ids=["complete", "type 0", "data alone", "size first"],
)
def test_july(client: RawClient, blob: bytes) -> None:
    """Blob, TorchModelLoad, TorchModelRun, SyncResource and GetTimers in 0.7's service, whose genop and ids stay."""
    steps = Steps(client.ok, JULY)
    session = steps.create_session()
    model = wire.integer(wire.decode(client.ok(JULY.service, "RegisterResource", register(session, blob))), 1)
    assert client.ok(JULY.service, "TorchModelLoad", wire.message((1, session), (2, model))) == b""
    (out,) = steps.run(session, model, [X])
    assert out.numbers() == Y
    (synced,) = wire.blobs(wire.decode(client.ok(JULY.service, "SyncResource", wire.message((1, model)))), 1)
    assert wire.blob(wire.decode(synced), DATA) == AFFINE
    again = wire.decode(client.ok(JULY.service, "TorchJitloadForward", JULY.run(session, model, [X])))
    assert len(wire.blobs(again, 1)) == 1
    timers = wire.blobs(wire.decode(client.ok(JULY.service, "GetTimers", wire.message((1, session)))), 1)
    assert any("torch_run" in wire.text(wire.decode(timer), 1) for timer in timers)
    genop = JULY.genop(session, JULY.opcode(0), write_args=[JULY.arg(b"out", kind=28)])
    assert given_back(client.call(JULY.service, "Genop", genop), JULY) == [b"out"]
    reply = client.call(JULY.service, "TorchModelRun", JULY.run(session, model, [X, X]))
    assert (reply.code, [name for name, _ in reply.details]) == (INTERNAL, [JULY.error_type])
    steps.unregister(session, model)


@pytest.mark.parametrize("dialect", [AUGUST_SYNC, AUGUST_ASYNC], ids=["sync", "asynchronous"])
def test_august(client: RawClient, dialect: DialectNames) -> None:
    """0.8's services with 0.7's arguments; the answer has these too."""
    steps = Steps(client.ok, dialect)
    session = steps.create_session()
    assert steps.run(session, steps.register_bytes(session, AFFINE), [X])[0].numbers() == Y
    args = [dialect.arg(b"out", kind=28), dialect.arg(b"raw"), dialect.arg(b"")]
    genop = dialect.genop(session, dialect.arg(b"\0", kind=9), dialect.arg(b"in", kind=28), write_args=args)
    assert given_back(client.call(dialect.service, "Genop", genop), dialect) == [b"out", b"raw", b""]
    # Later messages need not tell.
    reply = client.call(dialect.service, "Genop", dialect.genop(session))
    assert (reply.code, "there are no arguments" in reply.message) == (INVALID_ARGUMENT, True)


@pytest.mark.parametrize("dialect", [AUGUST_ASYNC, ASYNC_08], ids=["2025-08", "0.8"])
def test_streams(client: RawClient, dialect: DialectNames) -> None:
    """A stream tells its dialect by its first argument with bytes or a type; what came before is read in that dialect."""
    session = Steps(client.ok, dialect).create_session()
    whole = bytes(range(256)) * 1000
    half = len(whole) // 2
    untold = wire.message((3, dialect.arg(b"")))
    parts = [
        wire.message((1, session)),
        untold,
        wire.message((2, dialect.arg(b"\0", kind=9))),
        wire.message((3, dialect.arg(whole[:half], size=len(whole), parts=3, part=1))),
        wire.message((3, dialect.arg(b"", size=len(whole), parts=3, part=2))),
        wire.message((3, dialect.arg(whole[half:], size=len(whole), parts=3, part=3))),
    ]
    assert given_back(client.stream_call(dialect.service, "GenopStream", parts), dialect) == [b"", whole]
    # The connection has told it: a part without bytes that comes first is understood.
    empty_first = [wire.message((1, session), (3, dialect.arg(b"", parts=1, part=1))), wire.message((2, dialect.opcode(0)))]
    assert given_back(client.stream_call(dialect.service, "GenopStream", empty_first), dialect) == [b""]


def test_a_part_without_bytes_waits_for_the_message_that_tells(client: RawClient) -> None:
    """A new connection's stream may begin with a part that does not tell how its number is written."""
    session = Steps(client.ok, AUGUST_ASYNC).create_session()
    parts = [wire.message((1, session), (3, AUGUST_ASYNC.arg(b"", size=3, parts=2, part=1)))]
    parts += [wire.message((3, AUGUST_ASYNC.arg(b"abc", size=3, parts=2, part=2))), wire.message((2, AUGUST_ASYNC.opcode(0)))]
    assert given_back(client.stream_call(AUGUST_ASYNC.service, "GenopStream", parts), AUGUST_ASYNC) == [b"abc"]


def test_the_dialect_is_decided_once_for_a_connection(client: RawClient) -> None:
    """A message of the other dialect is then INVALID_ARGUMENT that names both, and the connection stays usable."""
    session = Steps(client.ok, JULY).create_session()
    assert client.call(JULY.service, "RegisterResource", JULY.register(session, blobs=[AFFINE])).code == OK
    reply = client.call(OLD_07.service, "RegisterResource", OLD_07.register(session, blobs=[AFFINE]))
    assert reply.code == INVALID_ARGUMENT
    assert reply.message == "RegisterResource: a field as in dialect 0.7, where this connection speaks 2025-07"
    # A blob with nothing but its name is read as this connection's, and is empty.
    reply = client.call(JULY.service, "RegisterResource", register(session, wire.message((NAME, "a.pt"))))
    assert (reply.code, reply.message) == (INVALID_ARGUMENT, "blobs[0] 'a.pt' is empty")
    assert client.call(SYNC_08.service, "Genop", SYNC_08.genop(session, SYNC_08.opcode(0))).code == OK
    reply = client.call(AUGUST_SYNC.service, "Genop", AUGUST_SYNC.genop(session, AUGUST_SYNC.opcode(0)))
    assert reply.code == INVALID_ARGUMENT
    assert reply.message == "Genop: a field as in dialect 2025-08, where this connection speaks 0.8"
    parts = [AUGUST_ASYNC.genop(session, AUGUST_ASYNC.opcode(0))]
    reply = client.stream_call(AUGUST_ASYNC.service, "GenopStream", parts)
    assert (reply.code, "speaks 0.8" in reply.message) == (INVALID_ARGUMENT, True)
    assert client.call(JULY.service, "RegisterResource", JULY.register(session, blobs=[AFFINE])).code == OK


@pytest.mark.parametrize(
    ("method", "blobs", "says"),
    [
        ("RegisterResource", [(NAME, "a.pt")], "RegisterResource: the dialect cannot be told; tried 0.7 and 2025-07"),
        ("RegisterResource", [(1, "a.pt"), (DATA, b"x")], "as in dialect 2025-07, where the same message speaks 0.7"),
        ("RegisterResource", [(1, 2), (4, b"x")], "as in dialect 0.7, where the same message speaks 2025-07"),
        ("Genop", [(1, 9), (3, 9)], "as in dialect 0.8, where the same message speaks 2025-08"),
    ],
)
def test_a_dialect_that_cannot_be_told(client: RawClient, method: str, blobs: list[tuple[int, wire.Value]], says: str) -> None:
    """INVALID_ARGUMENT names the versions that were tried."""
    dialect = OLD_07 if method == "RegisterResource" else SYNC_08
    session = Steps(client.ok, dialect).create_session()
    reply = client.call(dialect.service, method, wire.message((1, session), (2, wire.message(*blobs)), (3, 2)))
    assert (reply.code, says in reply.message) == (INVALID_ARGUMENT, True), reply
    assert client.call(dialect.service, method, b"\x12\x05\x0a").code == INVALID_ARGUMENT


def test_what_the_service_does_not_have(client: RawClient) -> None:
    """TensorFlow's methods are UNIMPLEMENTED by name, unknown ones as service/method; unknown fields are skipped."""
    for method, says in (
        ("TensorflowModelRun", "TensorflowModelRun: this agent has no TensorFlow plugin"),
        ("GetProfiler", "unknown method vaccel.AgentService/GetProfiler"),
        ("TorchModelUnload", "unknown method vaccel.AgentService/TorchModelUnload"),
    ):
        reply = client.call(JULY.service, method, b"")
        assert (reply.code, reply.message.startswith(says)) == (UNIMPLEMENTED, True), reply
    session = Steps(client.ok, JULY).create_session()
    blob = wire.message((TYPE, MAPPED), (DATA, AFFINE), (SIZE, len(AFFINE)), (90, b"new"))
    assert client.call(JULY.service, "RegisterResource", register(session, blob) + wire.message((91, 1))).code == OK


def test_over_grpc_each_call_tells(agent: ServerProcess) -> None:
    """There a connection may carry the calls of several clients, so nothing is remembered."""
    with grpc.insecure_channel(agent.addresses["grpc"].removeprefix("grpc://")) as channel:

        def call(service: str, method: str, payload: bytes) -> bytes:
            answer: bytes = channel.unary_unary(f"/{service}/{method}")(payload, timeout=10)
            return answer

        for dialect in (JULY, OLD_07, JULY):
            steps = Steps(call, dialect)
            session = steps.create_session()
            assert steps.run(session, steps.register_bytes(session, AFFINE), [X])[0].numbers() == Y
        for dialect in (AUGUST_ASYNC, ASYNC_08, AUGUST_ASYNC):
            genop = dialect.genop(session, dialect.opcode(0), write_args=[dialect.arg(b"out")])
            assert arguments(call(dialect.service, "Genop", genop), dialect) == [b"out"]
            stream = channel.stream_unary(f"/{dialect.service}/GenopStream")
            messages = [wire.message((1, session)), wire.message((3, dialect.arg(b"out"))), wire.message((2, dialect.opcode(0)))]
            assert arguments(stream(iter([*messages, b""]), timeout=10), dialect) == [b"out"]


@pytest.mark.parametrize("version", ["2025-07", "2025-08"])
def test_our_own_client_can_speak_them(agent: ServerProcess, version: Version) -> None:
    """Upload, load, run, sync, genop in both forms, and profile."""
    client = VaccelClient(connect(parse(agent.addresses["unix"]), 5), version)
    session = client.create_session()
    model = client.register_bytes(session, AFFINE, "affine.pt")
    client.load(session, model)
    (out,) = client.run(session, model, [from_values("float32", [1, 4], [0, 1, -2.5, 100])], 1)
    assert to_values(out) == Y
    assert client.sync(model) == AFFINE
    assert client.genop(session, [client.opcode(0), b"in"], [b"out"]) == [b"out"]
    large = bytes(3_000_000)
    assert client.genop_stream(session, [client.opcode(0)], [large, b""]) == [large, b""]
    assert client.profile(session)
    client.close()
