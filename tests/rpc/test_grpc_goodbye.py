"""A gRPC server that closes a connection in order, as agents and proxies do: with GOAWAY, while a call runs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from vaccel_rpc.addresses import parse
from vaccel_rpc.channels import connect
from vaccel_rpc.errors import DeadlineExceeded, Unavailable

#: Seconds after the goodbye in which the answer is sent: as long as a busy machine takes to deliver one.
_LATE_S = 0.05
_METHOD = ("vaccel.AgentService", "Anything")


class Answering(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers each call with its own bytes, when it may."""

    def __init__(self) -> None:
        self.called, self.may = threading.Event(), threading.Event()

    def service(self, handler_call_details: Any) -> Any:
        is_it = handler_call_details.method == "/" + "/".join(_METHOD)
        return grpc.unary_unary_rpc_method_handler(self._answer) if is_it else None

    def _answer(self, payload: bytes, _: object) -> bytes:
        self.called.set()
        self.may.wait(10)
        return payload


@pytest.fixture
def answering() -> Any:
    handler = Answering()
    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads, [handler])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield handler, server, port
        handler.may.set()
        server.stop(0).wait()


def test_what_was_taken_before_the_goodbye_is_answered(answering: Any) -> None:
    handler, server, port = answering
    closed = threading.Event()
    channel = connect(parse(f"grpc://127.0.0.1:{port}"), 5, on_change=closed.set)
    reply = channel.start(*_METHOD, [b"tea"], 20)
    assert handler.called.wait(5)
    stopped = server.stop(10)
    assert closed.wait(5)
    threading.Timer(_LATE_S, handler.may.set).start()
    assert reply.result() == b"tea"
    with pytest.raises(Unavailable, match="the agent closed the connection"):
        channel.start(*_METHOD, [b"tea"], 20)
    channel.close()
    assert stopped.wait(10)


def test_a_call_that_is_not_answered_in_time_names_the_agent(answering: Any) -> None:
    """And the time that it had, not what grpcio calls it."""
    _, _, port = answering
    channel = connect(parse(f"grpc://127.0.0.1:{port}"), 5)
    with pytest.raises(DeadlineExceeded, match=rf"^grpc://127.0.0.1:{port}: the agent did not answer within 0.2 s$"):
        channel.start(*_METHOD, [b"tea"], 0.2).result()
    channel.close()
