"""What upstream's clients were recorded to send, replayed against the agent, and its answers compared field by field."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.endpoints import endpoints
from tests.support.peers import raw_ttrpc
from tests.support.recorded import WIRE, Recording, recording
from tests.support.servers import SpawnAgent
from vaccel_rpc.frames import Frame, FrameReader
from vaccel_rpc.proto.ttrpc_pb2 import Request, Response

#: ``client-between`` records how an earlier agent refused that client; ``client-between-served`` is the session as it should go.
CLIENTS = sorted(path.stem for path in WIRE.glob("client-*.jsonl") if path.stem != "client-between")
ENDPOINTS = endpoints()
#: The writes in which chunks are sent.
Cut = Callable[[list[bytes]], list[bytes]]
INTERNAL = 13


def as_recorded(chunks: list[bytes]) -> list[bytes]:
    """A write for each chunk."""
    return chunks


def every_byte(chunks: list[bytes]) -> list[bytes]:
    """A write for each byte."""
    return [bytes([byte]) for byte in b"".join(chunks)]


def at_random(seed: int) -> Cut:
    """Writes of 1 to 30 bytes, now and then of some hundreds."""
    choice = random.Random(seed)

    def cut(chunks: list[bytes]) -> list[bytes]:
        data, pieces, at = b"".join(chunks), [], 0
        while at < len(data):
            size = choice.randint(1, 30) if choice.random() < 0.9 else choice.randint(31, 900)
            pieces.append(data[at : at + size])
            at += size
        return pieces

    return cut


@pytest.mark.parametrize("name", CLIENTS)
def test_every_session_goes_as_recorded(name: str, spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Chunk by chunk, each in one write and after the answers that came before it."""
    check(name, as_recorded, spawn_agent, tmp_path)


@pytest.mark.parametrize("cut", [every_byte, at_random(1), at_random(2)], ids=["every byte", "seed 1", "seed 2"])
@pytest.mark.parametrize("name", CLIENTS)
def test_cuts_change_nothing(name: str, cut: Cut, spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """The same answers where the client's bytes arrive in other pieces, down to single bytes."""
    check(name, cut, spawn_agent, tmp_path)


@pytest.mark.parametrize("name", sorted(path.stem for path in WIRE.glob("*.jsonl")))
def test_frames_are_the_same_however_they_are_read(name: str) -> None:
    """Of either side, read chunk by chunk and byte by byte."""
    session = recording(name)
    for side in ("client", "agent"):
        whole = [content(frame) for frame in session.frames(side)]
        chunks = [chunk.data for chunk in session.chunks if chunk.side == side]
        assert whole
        for pieces in (chunks, every_byte(chunks)):
            reader = FrameReader(1 << 30)
            assert [content(frame) for piece in pieces for frame in reader.receive(piece)] == whole
            assert not reader.partial


def content(frame: Any) -> tuple[int, int, int, bytes]:
    return frame.stream, frame.type, frame.flags, bytes(frame.data)


def check(name: str, cut: Cut, spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Replays a session against a fresh agent, as that of the recording was, and compares every answer."""
    session, store = recording(name), tmp_path / "store"
    store.mkdir()
    address = f"unix://{tmp_path}/a.sock" if session.transport == "unix" else "tcp://127.0.0.1:0"
    agent = spawn_agent("-a", address, "--models", str(store), "--uploads", "allow")
    answers = replay(session, agent.addresses[session.transport], cut)
    requests = {frame.stream: Request.FromString(bytes(frame.data)) for frame in session.frames("client") if frame.type == 1}
    recorded = session.frames("agent")
    assert [frame.stream for frame in answers] == [frame.stream for frame in recorded]
    for answer, expected in zip(answers, recorded, strict=True):
        assert (answer.type, answer.flags) == (expected.type, expected.flags)
        compare(requests[answer.stream], Response.FromString(bytes(answer.data)), Response.FromString(bytes(expected.data)))
    assert "Traceback" not in agent.text


def replay(session: Recording, address: str, cut: Cut) -> list[Frame]:
    """The agent's frames. Before a client's chunk is sent, the answers that came before it are awaited."""
    read, known, received = FrameReader(1 << 30), FrameReader(1 << 30), list[Frame]()
    pending, expected = list[bytes](), 0
    with raw_ttrpc.connect(address) as sock:

        def exchange() -> None:
            for piece in cut(pending):
                sock.sendall(piece)
            while len(received) < expected:
                data = sock.recv(1 << 16)
                assert data, f"the agent closed the connection after {len(received)} of {expected} answers"
                received.extend(accepted(read.receive(data)))

        for chunk in session.chunks:
            if chunk.side == "client":
                if len(received) < expected:
                    exchange()
                    pending = []
                pending.append(chunk.data)
            else:
                expected += len(list(known.receive(chunk.data)))
        exchange()
    return received


def accepted(frames: Iterator[Any]) -> Iterator[Frame]:
    for frame in frames:
        assert isinstance(frame, Frame)
        yield frame


def compare(request: Request, answer: Response, expected: Response) -> None:
    """Status and payload are the recorded ones, except for texts of torch's and for times."""
    where = f"{request.service}/{request.method}"
    assert answer.status.code == expected.status.code, (where, answer.status)
    assert list(answer.status.details) == list(expected.status.details), where
    if expected.status.code == INTERNAL:
        assert answer.status.message.startswith("torch: ")
    else:
        assert answer.status.message == expected.status.message, where
    reply = ENDPOINTS[where].method.reply
    assert fields(reply.FromString(answer.payload)) == fields(reply.FromString(expected.payload)), where


def fields(reply: Any) -> Any:
    """What is compared of a reply: all of it, but of a profile only its regions' names, without upstream's prefix."""
    names = [timer.name for timer in reply.timers] if hasattr(reply, "timers") else None
    if hasattr(reply, "profiler"):
        assert reply.profiler.component_name == "vaccel-rpc-agent"
        names = list(reply.profiler.regions)
    return reply if names is None else sorted(name.removeprefix("[vaccel-rpc-agent] ") for name in names)
