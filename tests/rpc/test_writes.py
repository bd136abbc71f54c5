"""Clients that write a frame in pieces with Nagle's algorithm on, as upstream's do."""

from __future__ import annotations

import socket
import statistics
import time

import pytest

from tests.support.peers import raw_ttrpc, wire
from tests.support.peers.dialects import SYNC_08, Steps
from tests.support.peers.raw_ttrpc import RawClient
from tests.support.servers import ServerProcess

#: Where the writes of a frame begin: 0.8's synchronous client, and its asynchronous one.
PIECES = {"header, message": (0, 10), "length, stream, type, flags, message": (0, 4, 8, 9, 10)}


@pytest.mark.parametrize("starts", PIECES.values(), ids=PIECES)
def test_a_frame_in_pieces_is_not_delayed(agent: ServerProcess, starts: tuple[int, ...]) -> None:
    """Over TCP no piece of a request waits for a delayed acknowledgement of the one before it (40 ms)."""
    with RawClient(agent.addresses["tcp"]) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        session = Steps(client.ok, SYNC_08).create_session()
        request = raw_ttrpc.request(SYNC_08.service, "UpdateSession", wire.message((1, session), (2, 1)))
        seconds = []
        for _ in range(40):
            stream = client.new_stream()
            frame = raw_ttrpc.frame(stream, raw_ttrpc.REQUEST, 0, request)
            began = time.monotonic()
            for start, end in zip(starts, (*starts[1:], len(frame)), strict=True):
                client.socket.sendall(frame[start:end])
            assert client.answer(stream).code == raw_ttrpc.OK
            seconds.append(time.monotonic() - began)
    # The kernel acknowledges the first segments of a connection at once; then it begins to delay.
    assert statistics.median(seconds[20:]) < 0.02
