"""Generic operations as a client of raw bytes sees them: write arguments whose bytes are not sent along."""

from __future__ import annotations

import pytest

from tests.support.peers import wire
from tests.support.peers.dialects import ASYNC_08, SYNC_08
from tests.support.peers.raw_ttrpc import INVALID_ARGUMENT, OK, RawClient, RawReply
from tests.support.servers import ServerProcess, SpawnAgent

#: Fields of 0.8's Arg.
BUF, SIZE, TYPE, PARTS, PART_NO, UNALLOCATED = 1, 2, 3, 5, 6, 7
MAX_MESSAGE = 1 << 20
#: Field 3 of a request, a write argument without fields.
EMPTY_ARG = b"\x1a\0"


def session_of(client: RawClient) -> int:
    return wire.integer(wire.decode(client.ok(ASYNC_08.service, "CreateSession", b"")), 1)


def given_back(reply: RawReply) -> list[wire.Fields]:
    assert reply.code == OK, reply
    return [wire.decode(arg) for arg in wire.blobs(wire.decode(reply.payload), 1)]


def test_unallocated_arguments_come_back_at_their_size(client: RawClient) -> None:
    """As many zeros as the argument asks for, no longer flagged; arguments with bytes come back as they are."""
    args = [
        wire.message((SIZE, 5), (TYPE, 28), (UNALLOCATED, 1)),
        wire.message((BUF, b"abc"), (SIZE, 3)),
        wire.message((SIZE, 300_000), (UNALLOCATED, 1)),
        wire.message((UNALLOCATED, 1)),
    ]
    request = SYNC_08.genop(session_of(client), SYNC_08.opcode(0), write_args=args)
    first, second, large, empty = given_back(client.call(SYNC_08.service, "Genop", request))
    assert first == {BUF: [bytes(5)], SIZE: [5], TYPE: [28]}
    assert second == {BUF: [b"abc"], SIZE: [3]}
    assert large == {BUF: [bytes(300_000)], SIZE: [300_000]}
    assert empty == {}


@pytest.mark.parametrize("part", [{}, {PARTS: 1, PART_NO: 1}], ids=["whole", "one part"])
def test_unallocated_arguments_in_a_stream(client: RawClient, part: dict[int, int]) -> None:
    """A stream's argument without bytes is complete, in one part as without parts."""
    session = session_of(client)
    arg = wire.message((SIZE, 70_000), *part.items(), (UNALLOCATED, 1))
    messages = [wire.message((1, session)), wire.message((2, SYNC_08.opcode(0))), wire.message((3, arg))]
    (written,) = given_back(client.stream_call(ASYNC_08.service, "GenopStream", messages))
    assert (written[BUF], written[SIZE], UNALLOCATED in written) == ([bytes(70_000)], [70_000], False)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([{SIZE: MAX_MESSAGE // 2}, {SIZE: MAX_MESSAGE // 2 + 1}], "need 1048577 bytes, more than the limit of 1048576 (--max-message)"),
        ([{SIZE: 2**32 - 1}] * 1000, "need 4294967295000 bytes"),
        ([{SIZE: 3, BUF: b"abc"}], "a write argument is unallocated, and yet 3 bytes were sent along"),
    ],
)  # fmt: skip
def test_unallocated_sizes_are_limited_together(spawn_agent: SpawnAgent, args: list[dict[int, wire.Value]], says: str) -> None:
    """INVALID_ARGUMENT says the sum and the limit before any memory is allocated; the connection stays usable."""
    agent = spawn_agent("--max-message", "1")
    with RawClient(agent.addresses["unix"]) as client:
        session = session_of(client)
        write_args = [wire.message(*arg.items(), (UNALLOCATED, 1)) for arg in args]
        reply = client.call(SYNC_08.service, "Genop", SYNC_08.genop(session, SYNC_08.opcode(0), write_args=write_args))
        assert (reply.code, says in reply.message) == (INVALID_ARGUMENT, True), reply
        assert given_back(client.call(SYNC_08.service, "Genop", SYNC_08.genop(session, SYNC_08.opcode(0)))) == []


@pytest.mark.parametrize("method", ["Genop", "GenopStream"])
def test_the_number_of_arguments_is_limited(agent: ServerProcess, client: RawClient, method: str) -> None:
    """1024 are given back; of a million empty ones, in one message or many, no time is spent."""
    head = wire.message((1, session_of(client)), (2, ASYNC_08.opcode(0)))
    assert len(given_back(client.call(ASYNC_08.service, method, head + EMPTY_ARG * 1023))) == 1023
    before = agent.cpu_seconds
    refused = [client.call(ASYNC_08.service, method, head + EMPTY_ARG * count) for count in (1024, 1 << 20)]
    refused.append(client.stream_call(ASYNC_08.service, "GenopStream", [head, EMPTY_ARG * 600, EMPTY_ARG * 600]))
    assert {(reply.code, reply.message) for reply in refused} == {
        (INVALID_ARGUMENT, "a generic operation has at most 1024 arguments")
    }
    assert agent.cpu_seconds - before < 2, "a million took 3 s, and others waited meanwhile"


def test_a_stream_of_many_parts_takes_the_memory_of_its_bytes(spawn_agent: SpawnAgent) -> None:
    """2 MiB in parts of 1 KiB, given back whole: intermediate results would be a thousand times as much."""
    agent = spawn_agent()
    data, part = bytes(range(256)) * (2 << 12), 1 << 10
    pieces = [data[start : start + part] for start in range(0, len(data), part)]
    args = [ASYNC_08.arg(piece, size=len(data), parts=len(pieces), part=i) for i, piece in enumerate(pieces, 1)]
    with RawClient(agent.addresses["unix"]) as client:
        session = session_of(client)
        before = agent.peak_memory_mib
        messages = [ASYNC_08.genop(session, ASYNC_08.opcode(0)), *(ASYNC_08.genop(session, write_args=[arg]) for arg in args)]
        (written,) = given_back(client.stream_call(ASYNC_08.service, "GenopStream", messages))
    assert (written[BUF], written[PART_NO]) == ([data], [len(pieces)])
    assert agent.peak_memory_mib - before < 100
