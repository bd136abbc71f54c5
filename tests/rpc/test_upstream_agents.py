"""Our client against upstream's agents, played: how they write, what they answer, which dialect they speak."""

from __future__ import annotations

import socket
import threading
import time

from vaccel_rpc import frames
from vaccel_rpc.addresses import parse
from vaccel_rpc.channels import connect
from vaccel_rpc.proto.ttrpc_pb2 import Response


def answer_in_two_writes(listener: socket.socket) -> None:
    """Answers every request of one connection: the header, then the message, with Nagle's algorithm on."""
    connection, _ = listener.accept()
    reader, message = frames.FrameReader(1 << 20), Response(payload=b"x").SerializeToString()
    with connection:
        while data := connection.recv(1 << 16):
            for frame in reader.receive(data):
                connection.sendall(frames.header(frame.stream, frames.RESPONSE, 0, len(message)))
                connection.sendall(message)


def test_an_answer_in_two_writes_is_not_delayed() -> None:
    """Over TCP the second write of an answer does not wait for a delayed acknowledgement of the first (40 ms)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer_in_two_writes, args=(listener,), daemon=True).start()
        channel = connect(parse(f"tcp://127.0.0.1:{listener.getsockname()[1]}"), 5)
        seconds = []
        for _ in range(40):
            began = time.monotonic()
            assert channel.start("s", "m", [b"x"], 5).result() == b"x"
            seconds.append(time.monotonic() - began)
        channel.close()
    # The kernel acknowledges the first segments of a connection at once; then it begins to delay.
    assert min(seconds[20:]) < 0.02
