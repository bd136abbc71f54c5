"""An agent that shuts down tells its clients so: an extension of the RPC, described in docs/vaccel.md.

A client that understands it says so in the metadata of CreateSession. Over ttrpc it then gets a
request of the agent's, which it does not answer; over gRPC it watches the agent's health service.
The agent sends nothing to other clients. No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import DecodeError

from vaccel_rpc import frames
from vaccel_rpc.proto.ttrpc_pb2 import Request

_KEY, _VALUE = "vaccel-draining", "1"
#: The metadata of CreateSession by which a client announces that it understands the message.
ANNOUNCEMENT: Mapping[str, str] = {_KEY: _VALUE}
#: Seconds after the message in which calls are still taken from a client that announced itself:
#: they crossed the message on the wire.
CROSSING_S = 1.0

_SERVICE, _METHOD = "vaccel.extension.ClientService", "Draining"
#: The stream ids of a client's requests are odd.
_STREAM = 2
#: The message over ttrpc.
FRAME = frames.encode(_STREAM, frames.REQUEST, 0, Request(service=_SERVICE, method=_METHOD).SerializeToString())


def announced(metadata: Mapping[str, str]) -> bool:
    """Whether the client that created a session with this metadata understands the message."""
    return metadata.get(_KEY) == _VALUE


def is_message(frame: frames.Frame | frames.RefusedFrame) -> bool:
    """Whether a frame that an agent sent is the message; what else agents may send is to be ignored."""
    if isinstance(frame, frames.RefusedFrame) or frame.type != frames.REQUEST:
        return False
    try:
        request = Request.FromString(frame.data)  # type: ignore[arg-type] # it takes any buffer
    except DecodeError:
        return False
    return (request.service, request.method) == (_SERVICE, _METHOD)
