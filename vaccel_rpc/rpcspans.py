"""Spans of RPCs on both sides, by OpenTelemetry's semantic conventions (1.45, stable).

``rpc.system`` and ``rpc.service`` are the older names, which many backends still read;
``rpc.method`` is the full name, as in the current conventions.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from vaccel_common import tracing
from vaccel_common.tracing import Span
from vaccel_rpc.addresses import Address
from vaccel_rpc.errors import RpcError

System = Literal["grpc", "ttrpc"]
_Attributes = dict[str, str | int]

#: Status codes that are the server's failure and not its caller's. Source: the conventions for
#: gRPC, whose codes ttrpc shares.
_SERVER_FAILURES = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}


@contextmanager
def client(address: Address, service: str, method: str, trace: Mapping[str, str] | None) -> Iterator[Span]:
    """The span of a call to the agent at ``address``, with its final status."""
    attributes = {**_names("grpc" if address.is_grpc else "ttrpc", service, method), **_place(address)}
    with _call(tracing.start(f"{service}/{method}", trace, kind="client", attributes=attributes)) as span:
        yield span


@contextmanager
def server(system: System, service: str, method: str, trace: Mapping[str, str]) -> Iterator[Span]:
    """The span of a call in the agent, with the status of its answer."""
    attributes = _names(system, service, method)
    with _call(tracing.start(f"{service}/{method}", trace, kind="server", attributes=attributes), _SERVER_FAILURES) as span:
        yield span


@contextmanager
def _call(span: Span, failures: Container[str] | None = None) -> Iterator[Span]:
    # Without ``failures``, every status but OK is a failure.
    status = "CANCELLED"  # if neither a reply nor an error follows
    try:
        yield span
        status = "OK"
    except RpcError as error:
        status = error.name
        if failures is None or status in failures:
            span.fail(error.message, status)
        raise
    except Exception as error:
        status = "UNKNOWN"
        span.fail(str(error), type(error).__qualname__)
        raise
    finally:
        span.set("rpc.response.status_code", status)
        span.end()


def _names(system: System, service: str, method: str) -> _Attributes:
    return {"rpc.system.name": system, "rpc.system": system, "rpc.service": service, "rpc.method": f"{service}/{method}"}


def _place(address: Address) -> _Attributes:
    if address.is_unix:
        return {"server.address": address.path, "network.transport": "unix"}
    transport = "vsock" if address.scheme == "vsock" else "tcp"
    return {"server.address": address.host, "server.port": address.port, "network.transport": transport}
