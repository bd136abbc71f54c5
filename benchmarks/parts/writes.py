"""Calls of clients that write a frame in several pieces with Nagle's algorithm on, as upstream's
clients do.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import echo
from benchmarks.parts.hop import repeated
from benchmarks.plan import Record, Run
from loadkit import servers
from loadkit.stats import milliseconds
from vaccel_rpc import frames
from vaccel_rpc.addresses import parse, ttrpc_socket
from vaccel_rpc.channels import CLOSED
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.proto.ttrpc_pb2 import Request, Response
from vaccel_rpc.status import from_status
from vaccel_rpc.tensors import Tensor
from vaccel_rpc.wire import Parts

_SCHEMES = {"unix": "ttrpc, unix", "tcp": "ttrpc, tcp"}
#: Name -> where the writes of a frame begin: our own client, upstream's synchronous and its
#: asynchronous one.
WRITES = {"one": (0,), "two": (0, 10), "five": (0, 4, 8, 9, 10)}


def measure(run: Run) -> list[Record]:
    """Records by ``way`` and number of ``writes``: milliseconds of a call with one number."""
    with tempfile.TemporaryDirectory() as folder:
        echo.save(Path(folder))
        places = [f"unix://{folder}/unix.sock", servers.free_address("tcp")]
        records: list[Record] = []
        with servers.agent(places[0], ["-a", places[1]], models=folder, preload="echo0"):
            for repeat in range(run.plan.repeats):
                run.log(f"repeat {repeat + 1} of {run.plan.repeats}")
                for (place, way), (name, starts) in itertools.product(
                    zip(places, _SCHEMES.values(), strict=True), WRITES.items()
                ):
                    durations = _durations(place, starts, run.plan.hop_seconds)
                    records.append({"way": way, "writes": name, "repeat": repeat, **milliseconds(durations)})
    return records


def _durations(place: str, starts: tuple[int, ...], seconds: float) -> list[float]:
    client = VaccelClient(PiecewiseChannel(place, starts))
    try:
        session = client.create_session()
        model = client.register_path(session, "echo0")
        return repeated(functools.partial(client.run, session, model, [Tensor("int64", (1,), bytes(8))], 1), seconds)
    finally:
        client.close()


@dataclass(frozen=True)
class _FinishedReply:
    payload: bytes
    arrived = None

    def result(self) -> bytes:
        return self.payload


class PiecewiseChannel:
    """A connection with one call at a time, whose frames are written in pieces that begin at
    ``starts``.
    """

    closed = None
    draining, running = False, 0

    def __init__(self, address: str, starts: tuple[int, ...]) -> None:
        self._socket, place = ttrpc_socket(parse(address))
        self._socket.connect(place)
        self._starts = starts
        self._streams = itertools.count(1, 2)
        self._reader = frames.FrameReader(frames.STANDARD_MAX_DATA)

    def start(
        self,
        service: str,
        method: str,
        payload: Parts,
        timeout: float | None = None,  # noqa: ARG002 of `vaccel_rpc.channels.Channel`
        metadata: Mapping[str, str] | None = None,  # noqa: ARG002 the same
        done: Callable[[], None] | None = None,  # noqa: ARG002 the same
    ) -> _FinishedReply:
        """Sends a call and waits for its reply. Raises `vaccel_rpc.errors.RpcError`."""
        request = Request(service=service, method=method, payload=b"".join(payload)).SerializeToString()
        frame = frames.encode(next(self._streams), frames.REQUEST, 0, request)
        for start, end in itertools.pairwise((*self._starts, len(frame))):
            self._socket.sendall(frame[start:end])
        response = self._response()
        if response.status.code:
            raise from_status(response.status)
        return _FinishedReply(response.payload)

    def read_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Not needed for the measurement."""
        raise NotImplementedError

    def stream(self, service: str, method: str, payloads: Iterable[bytes], timeout: float | None = None) -> _FinishedReply:
        """Not needed for the measurement."""
        raise NotImplementedError

    def close(self, why: str = CLOSED) -> None:  # noqa: ARG002 the same
        """Ends the connection."""
        self._socket.close()

    def _response(self) -> Response:
        while data := self._socket.recv(1 << 16):
            for frame in self._reader.receive(data):
                assert isinstance(frame, frames.Frame)
                return Response.FromString(bytes(frame.data))
        raise ConnectionError("the agent closed the connection")
