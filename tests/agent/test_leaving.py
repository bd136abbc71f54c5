"""How an agent leaves: what its clients get that it has not answered yet, who is told, and when it has ended."""

from __future__ import annotations

import contextlib
import signal
import struct
import time
from pathlib import Path

import grpc
import pytest

from tests.support.clients import client
from tests.support.peers import raw_ttrpc, wire
from tests.support.peers.dialects import OLD_07, SYNC_08, DialectNames, RawTensor, Steps, decode_outputs, int64
from tests.support.peers.raw_ttrpc import Closed, RawClient
from tests.support.ports import free_ports
from tests.support.servers import ServerProcess, SpawnAgent
from tests.support.sleepers import store_of
from vaccel_rpc.draining import ANNOUNCEMENT, CROSSING_S
from vaccel_rpc.errors import DeadlineExceeded, Unavailable
from vaccel_rpc.tensors import from_values, to_values

#: The message over ttrpc as docs/vaccel.md describes it: a request on stream 2 that has a service and a method alone.
MESSAGE = (2, raw_ttrpc.REQUEST, 0, wire.message((1, "vaccel.extension.ClientService"), (2, "Draining")))
EXIT_AT_ONCE = 128 + signal.SIGTERM
REFUSAL = "the agent is shutting down; the call was not taken"


class Peer(RawClient):
    """A client of ``dialect``, with a session and the model; it announces itself only if it is told to."""

    def __init__(self, address: str, dialect: DialectNames = SYNC_08, *, announces: bool = False) -> None:
        super().__init__(address)
        self.dialect, self.steps = dialect, Steps(self.ok, dialect)
        self.session = self.announced_session() if announces else self.steps.create_session()
        self.model = self.steps.register_path(self.session, "nap")

    def announced_session(self) -> int:
        stream = self.new_stream()
        body = raw_ttrpc.request(self.dialect.service, "CreateSession", wire.message((1, 0)), metadata=ANNOUNCEMENT.items())
        self.socket.sendall(raw_ttrpc.frame(stream, raw_ttrpc.REQUEST, 0, body))
        return wire.integer(wire.decode(self.answer(stream).payload), 1)

    def start_run(self, number: int) -> int:
        """Sends a run; its stream."""
        tensor = [RawTensor(int64([number]).data, (1,), int64([]).type)]
        return self.start(self.dialect.service, self.dialect.run_method, self.dialect.run(self.session, self.model, tensor))

    def frame(self) -> tuple[int, int, int, bytes]:
        """The next frame: its stream, type, flags and data."""
        length, *rest = struct.unpack(">IIBB", self._exactly(10))
        return (*rest, self._exactly(length))

    def frames(self) -> list[tuple[int, int, int, bytes]]:
        """All that come until the agent closes the connection."""
        got = []
        with contextlib.suppress(Closed):
            while True:
                got.append(self.frame())
        return got


def doubled(frame: tuple[int, int, int, bytes]) -> int:
    """The number in a run's answer."""
    (tensor,) = decode_outputs(raw_ttrpc.parse_reply(frame[3]).payload)
    (number,) = struct.unpack("<q", tensor.data)
    return int(number)


@pytest.fixture
def sleeper(spawn_agent: SpawnAgent, tmp_path: Path, request: pytest.FixtureRequest) -> ServerProcess:
    """An agent with a model that takes 0.4 s, or as long as the test says."""
    store = store_of(tmp_path, "store", f'{{"seconds": {getattr(request, "param", 0.4)}}}')
    listen = [f"unix://{tmp_path}/a.sock", "tcp://127.0.0.1:0", "grpc://127.0.0.1:0", f"grpc+unix://{tmp_path}/g.sock"]
    return spawn_agent(*[part for address in listen for part in ("-a", address)], *store)


@pytest.mark.parametrize("dialect", [SYNC_08, OLD_07], ids=["0.8", "0.7"])
@pytest.mark.parametrize("scheme", ["unix", "tcp"])
def test_a_client_of_vaccel_sees_nothing_new(sleeper: ServerProcess, scheme: str, dialect: DialectNames) -> None:
    """What it sent before is answered, a call that comes later gets UNAVAILABLE, and there is no other byte on the wire."""
    peer, idle = Peer(sleeper.addresses[scheme], dialect), Peer(sleeper.addresses[scheme], dialect)
    run = peer.start_run(21)
    time.sleep(0.1)
    sleeper.process.send_signal(signal.SIGTERM)
    sleeper.wait_for("Shutting down: 0 clients told, waiting for 1 calls in 1 sessions")
    late = peer.start_run(4)
    frames = peer.frames()
    assert [frame[0] for frame in frames] == [late, run]
    assert doubled(frames[1]) == 42
    refusal = raw_ttrpc.parse_reply(frames[0][3])
    assert (refusal.code, refusal.message, refusal.details) == (raw_ttrpc.UNAVAILABLE, REFUSAL, ())
    assert idle.frames() == []
    assert sleeper.process.wait(30) == 0
    assert sleeper.text.splitlines()[-1].endswith("refused calls: 1 run")


@pytest.mark.parametrize("scheme", ["unix", "tcp"])
def test_who_announces_itself_is_told(sleeper: ServerProcess, scheme: str) -> None:
    """Its calls that cross the message are taken; when it has closed its connection, the agent ends."""
    peer, other = Peer(sleeper.addresses[scheme], announces=True), Peer(sleeper.addresses[scheme])
    peer.start_run(1)
    time.sleep(0.1)
    sleeper.process.send_signal(signal.SIGTERM)
    sleeper.wait_for("Shutting down: 1 clients told, waiting for 1 calls in 1 sessions")
    crossing = peer.start_run(2)
    assert peer.frame() == MESSAGE
    assert to_number(peer, crossing) == 4
    peer.socket.close()
    assert sleeper.process.wait(30) == 0
    assert other.frames() == []
    assert sleeper.text.splitlines()[-1].endswith("refused calls: none")


def to_number(peer: Peer, stream: int) -> int:
    """The number in the answer to a run."""
    (tensor,) = decode_outputs(peer.answer(stream).payload)
    (number,) = struct.unpack("<q", tensor.data)
    return int(number)


@pytest.mark.parametrize("sleeper", [2], indirect=True)
def test_who_does_not_stop_is_refused_in_the_end(sleeper: ServerProcess) -> None:
    """A client that announced itself and goes on is refused after a second; a session may always be ended."""
    peer = Peer(sleeper.addresses["unix"], announces=True)
    second = Peer(sleeper.addresses["unix"], announces=True)
    last = peer.start_run(1)
    sleeper.process.send_signal(signal.SIGTERM)
    sleeper.wait_for("Shutting down: 2 clients told")
    taken = [peer.start_run(number) for number in range(2)]
    time.sleep(CROSSING_S + 0.5)
    refused = peer.start_run(1)
    assert second.frame() == MESSAGE
    second.steps.destroy_session(second.session)
    frames = {frame[0]: frame for frame in peer.frames()}
    assert frames[2] == MESSAGE
    assert {frames[stream][1] for stream in (last, *taken)} == {raw_ttrpc.RESPONSE}
    assert [doubled(frames[stream]) for stream in taken] == [2 * i for i in range(len(taken))]
    assert raw_ttrpc.parse_reply(frames[refused][3]).code == raw_ttrpc.UNAVAILABLE
    assert sleeper.process.wait(30) == 0


@pytest.mark.parametrize("scheme", ["grpc", "grpc+unix"])
def test_over_grpc_the_health_service_says_it(sleeper: ServerProcess, scheme: str) -> None:
    """Who watches is told NOT_SERVING; what was taken is answered, a new call is refused, and then gRPC's own goodbye follows."""
    calls = client(sleeper, scheme)
    session = calls.create_session()
    model = calls.register_path(session, "nap")
    with grpc.insecure_channel(sleeper.addresses[scheme].removeprefix("grpc://").replace("grpc+unix://", "unix:")) as channel:
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        assert next(watch) == b"\x08\x01"
        run = calls.start_run(session, model, [from_values("int64", (1,), [5])], 1, 20)
        time.sleep(0.1)
        sleeper.process.send_signal(signal.SIGTERM)
        assert next(watch) == b"\x08\x02"
        with pytest.raises(Unavailable, match=f"^{REFUSAL}$"):
            calls.create_session(timeout=5)
        assert to_values(run.result().outputs[0]) == [10]
        with pytest.raises(grpc.RpcError):
            next(watch)
    assert sleeper.process.wait(30) == 0


@pytest.mark.parametrize("sleeper", [30], indirect=True)
def test_a_second_signal_ends_at_once(sleeper: ServerProcess) -> None:
    """With a code of its own, and the log says what was dropped: how many calls, of which client and model."""
    peer, calls = Peer(sleeper.addresses["tcp"]), client(sleeper, "grpc")
    for number in range(3):
        peer.start_run(number)
    session = calls.create_session()
    calls.start_run(session, calls.register_path(session, "nap"), [from_values("int64", (1,), [5])], 1, 20)
    time.sleep(0.2)
    sleeper.process.send_signal(signal.SIGTERM)
    sleeper.wait_for("waiting for 4 calls in 2 sessions")
    began = time.monotonic()
    assert sleeper.stop(signal.SIGTERM) == EXIT_AT_ONCE
    assert time.monotonic() - began < 15, "the model takes 30 s"
    host, port = peer.socket.getsockname()
    assert f"Dropping 3 calls in session {peer.session} of {host}:{port}, model nap" in sleeper.text
    assert f"Dropping 1 calls in session {session} of a gRPC client, model nap" in sleeper.text
    assert sleeper.text.splitlines()[-1].endswith("vAccel RPC agent ended at once: SIGTERM is the second signal")
    assert not Path(sleeper.addresses["unix"].removeprefix("unix://")).exists()
    with pytest.raises((Closed, ConnectionResetError)):
        peer.next_answer()


def test_a_second_signal_ends_a_start(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """An agent that still loads its engines has nothing to drop, and ends as quickly."""
    agent = spawn_agent(*store_of(tmp_path, "store", "{}"), "--plugin", "tests.support.slowplugin", ready=False)
    agent.wait_for("opening")
    agent.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    began = time.monotonic()
    assert agent.stop(signal.SIGINT) == 128 + signal.SIGINT
    assert time.monotonic() - began < 15, "its plugin takes 30 s"


def test_a_thread_that_does_not_return_keeps_no_agent(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """A model that never loads: the process ends after the grace period, with 0, and nothing of it stays."""
    private = tmp_path / "tmp"
    private.mkdir()
    agent = spawn_agent(
        "--plugin", "tests.support.illplugin", "--models", str(tmp_path), "--grace-s", "1", env={"TMPDIR": str(private)}
    )  # fmt: skip
    (tmp_path / "never.ill").write_text('{"load": "hang"}')
    calls = client(agent)
    session = calls.create_session()
    with pytest.raises(DeadlineExceeded):
        calls.load(session, calls.register_path(session, "never"), 0.3)
    calls.close()
    assert agent.stop() == 0
    assert agent.text.endswith("vAccel RPC agent ended at once: a thread was still at work\n")
    assert list(private.iterdir()) == []


def test_a_file_that_is_hashed_keeps_no_agent(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """A terabyte, for clients that have left: the agent ends as soon as nothing is left to answer."""
    agent = spawn_agent("--models", str(tmp_path), "--grace-s", "60")
    with (tmp_path / "huge.pt").open("wb") as file:
        file.truncate(1 << 40)
    calls = client(agent)
    session = calls.create_session()
    for path in (f"sha256:{'0' * 64}", "huge"):
        with pytest.raises(DeadlineExceeded):
            calls.register_path(session, path, 0.2)
    calls.close()
    assert agent.stop() == 0


def test_after_the_grace_period_the_rest_is_dropped(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Exit code 0 all the same, at the end of the period; the log names what got no answer."""
    store = store_of(tmp_path, "store", '{"seconds": 30}')
    agent = spawn_agent("--grace-s", "0.5", *store)
    peer = Peer(agent.addresses["unix"], announces=True)
    peer.start_run(1)
    time.sleep(0.1)
    began = time.monotonic()
    assert agent.stop() == 0
    assert 0.5 <= time.monotonic() - began < 15
    assert "1 calls did not finish within 0.5 s" in agent.text
    assert f"Dropping 1 calls in session {peer.session} of process " in agent.text
    assert peer.frames()[0] == MESSAGE


@pytest.mark.parametrize("scheme", ["unix", "tcp"])
def test_its_address_is_free_at_once(spawn_agent: SpawnAgent, tmp_path: Path, scheme: str) -> None:
    """Another agent listens there while the old one still answers, and stays there when the old one has ended."""
    place = f"{tmp_path}/a.sock" if scheme == "unix" else f"127.0.0.1:{free_ports(1)[0]}"
    options = ("-a", f"{scheme}://{place}", *store_of(tmp_path, "store", '{"seconds": 4}'))
    old = spawn_agent(*options)
    peer = Peer(old.addresses[scheme])
    run = peer.start_run(3)
    time.sleep(0.1)
    old.process.send_signal(signal.SIGTERM)
    old.wait_for("Shutting down")
    new = spawn_agent(*options)
    assert old.process.poll() is None
    assert to_number(peer, run) == 6
    assert old.process.wait(30) == 0
    assert Peer(new.addresses[scheme]).session > 0


@pytest.mark.parametrize("sleeper", [0], indirect=True)
@pytest.mark.parametrize("scheme", ["unix", "tcp"])
def test_a_large_answer_is_sent_to_its_end(sleeper: ServerProcess, scheme: str) -> None:
    """A client that reads slowly gets all of an answer that was ready before the signal."""
    peer = Peer(sleeper.addresses[scheme])
    values = range(1 << 20)
    tensor = [RawTensor(int64(values).data, (len(values),), int64([]).type)]
    run = peer.start(SYNC_08.service, SYNC_08.run_method, SYNC_08.run(peer.session, peer.model, tensor))
    time.sleep(3)
    sleeper.process.send_signal(signal.SIGTERM)
    sleeper.wait_for("Shutting down")
    time.sleep(1)
    ((stream, _, _, data),) = peer.frames()
    assert stream == run
    (output,) = decode_outputs(raw_ttrpc.parse_reply(data).payload)
    assert struct.unpack_from("<q", output.data, 8 * (len(values) - 1)) == (2 * (len(values) - 1),)
    assert sleeper.process.wait(30) == 0
