"""A client of HTTP/2 without TLS, by prior knowledge; runs where the package h2 is, which the tests' own environment lacks.

Reads from standard input ``{"port": 8080, "requests": [{"path", "type", "body", "leaves": false}]}``. The requests are sent at the
same time, on one connection; one that ``leaves`` is reset before its body has ended. Writes ``[{"status", "body"}]``.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded


def exchange(port: int, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers to ``requests``, in their order."""
    connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    answers: dict[int, dict[str, Any]] = {}
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        connection.initiate_connection()
        for request in requests:
            stream = connection.get_next_available_stream_id()
            pseudo = [(":method", "POST"), (":path", request["path"]), (":scheme", "http"), (":authority", "x")]
            connection.send_headers(stream, [*pseudo, ("content-type", request["type"])])
            connection.send_data(stream, request["body"].encode(), end_stream=not request.get("leaves"))
            if request.get("leaves"):
                client.sendall(connection.data_to_send())
                connection.reset_stream(stream)
            else:
                answers[stream] = {"status": 0, "body": ""}
        client.sendall(connection.data_to_send())
        open_streams = set(answers)
        while open_streams and (data := client.recv(1 << 16)):
            for event in connection.receive_data(data):
                if isinstance(event, ResponseReceived):
                    answers[event.stream_id]["status"] = int(dict(event.headers)[":status"])
                elif isinstance(event, DataReceived):
                    answers[event.stream_id]["body"] += event.data.decode()
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, StreamEnded):
                    open_streams.discard(event.stream_id)
            client.sendall(connection.data_to_send())
    return list(answers.values())


if __name__ == "__main__":
    job = json.load(sys.stdin)
    json.dump(exchange(job["port"], job["requests"]), sys.stdout)
