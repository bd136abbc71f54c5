"""Responses that a client does not read: how much memory the agent keeps for them."""

from __future__ import annotations

import time
from errno import EAGAIN
from pathlib import Path

import torch

from tests.support.peers import wire
from tests.support.peers.dialects import SYNC_08, Steps
from tests.support.peers.raw_ttrpc import OK, REQUEST, RESOURCE_EXHAUSTED, RawClient, frame, request
from tests.support.servers import SpawnAgent
from tests.support.torchmodels import saved

CALLS, MIB = 200, 1 << 20


def test_unread_responses_are_bounded(spawn_agent: SpawnAgent) -> None:
    """Small requests for large responses fill no more than --max-buffer; the rest get EAGAIN, and what was kept is given back."""
    agent = spawn_agent("--max-message", "16", "--max-buffer", "64")
    with RawClient(agent.addresses["unix"]) as deaf, RawClient(agent.addresses["unix"]) as other:
        session = Steps(deaf.ok, SYNC_08).create_session()
        write_arg = wire.message((2, 15 * MIB), (7, 1))
        payload = SYNC_08.genop(session, SYNC_08.opcode(0), write_args=[write_arg])
        before = agent.peak_memory_mib
        # In one write, as an agent that has responses to send reads no further.
        streams = [deaf.new_stream() for _ in range(CALLS)]
        body = request(SYNC_08.service, "Genop", payload)
        deaf.socket.sendall(b"".join(frame(stream, REQUEST, 0, body) for stream in streams))
        assert Steps(other.ok, SYNC_08).create_session() > session
        replies = [deaf.answer(stream) for stream in streams]
        assert agent.peak_memory_mib - before < 64 + 4 * 16
        answered = [reply for reply in replies if reply.code == OK]
        assert 4 <= len(answered) < CALLS / 2
        assert all(len(reply.payload) > 15 * MIB for reply in answered)
        refused = [reply for reply in replies if reply.code == RESOURCE_EXHAUSTED]
        assert len(answered) + len(refused) == CALLS
        assert refused[0].message == "the memory for unread responses is used up (--max-buffer)"
        assert refused[0].details[0][1] == wire.message((2, EAGAIN))
        # Read, they count no longer.
        for _ in range(8):
            assert deaf.call(SYNC_08.service, "Genop", payload).code == OK


class Large(torch.nn.Module):
    """Any dtype -> the same; its file has 30 MiB."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.zeros(30 * MIB, dtype=torch.uint8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.weights[:1]


def test_files_are_read_back_one_at_a_time(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """20 requests of a few bytes for 30 MiB each: two files are kept unread, and one is read meanwhile."""
    data = saved(Large(), tmp_path / "large.pt")
    agent = spawn_agent("--max-buffer", "64")
    with RawClient(agent.addresses["unix"]) as deaf:
        steps = Steps(deaf.ok, SYNC_08)
        model = steps.register_bytes(steps.create_session(), data)
        before = agent.peak_memory_mib
        body = request(SYNC_08.service, "SyncResource", wire.message((1, model)))
        streams = [deaf.new_stream() for _ in range(20)]
        deaf.socket.sendall(b"".join(frame(stream, REQUEST, 0, body) for stream in streams))
        # While nobody reads, only so many fit.
        time.sleep(3)
        replies = [deaf.answer(stream) for stream in streams]
    assert agent.peak_memory_mib - before < 300, "all at once would be 600"
    answered = [reply for reply in replies if reply.code == OK]
    assert 1 <= len(answered) < 20
    assert all(data in reply.payload for reply in answered)


def test_a_client_that_goes_away_leaves_nothing(spawn_agent: SpawnAgent) -> None:
    """What it has not read is given back with its connection."""
    agent = spawn_agent("--max-message", "16", "--max-buffer", "32")
    for _ in range(6):
        with RawClient(agent.addresses["unix"]) as client:
            session = Steps(client.ok, SYNC_08).create_session()
            payload = SYNC_08.genop(session, SYNC_08.opcode(0), write_args=[wire.message((2, 15 * MIB), (7, 1))])
            assert client.call(SYNC_08.service, "Genop", payload).code == OK
            client.start(SYNC_08.service, "Genop", payload)
            client.start(SYNC_08.service, "Genop", payload)
            client.next_answer()
