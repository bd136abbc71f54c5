"""Spans of RPCs, on both sides, as OpenTelemetry's semantic conventions have them (1.45, stable).

``rpc.system`` and ``rpc.service`` are those of before, which many backends still read; ``rpc.method`` is the full name, as now.
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

#: Status codes that are a server's own failure, and not its caller's. Source: the conventions for gRPC, whose codes ttrpc shares.
_SERVER_FAILURES = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}


@contextmanager
def client(address: Address, service: str, method: str, trace: Mapping[str, str] | None) -> Iterator[Span]:
    """The span of a call to the agent at ``address``, with the status that it ends with."""
    attributes = {**_names("grpc" if address.is_grpc else "ttrpc", service, method), **_place(address)}
    with _call(tracing.start(f"{service}/{method}", trace, kind="client", attributes=attributes)) as span:
        yield span


@contextmanager
def server(system: System, service: str, method: str, trace: Mapping[str, str]) -> Iterator[Span]:
    """The span of a call that is being answered, with the status that it is answered with."""
    attributes = _names(system, service, method)
    with _call(tracing.start(f"{service}/{method}", trace, kind="server", attributes=attributes), _SERVER_FAILURES) as span:
        yield span


@contextmanager
def _call(span: Span, failures: Container[str] | None = None) -> Iterator[Span]:
    # Without ``failures`` every status but OK is one.
    status = "CANCELLED"  # where neither an answer nor an error comes of it
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
