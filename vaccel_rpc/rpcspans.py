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
Attributes = dict[str, str | int]
#: Service and method, by their names on the wire.
Method = tuple[str, str]

#: Status codes that are the server's failure and not its caller's. Source: the conventions for
#: gRPC, whose codes ttrpc shares.
_SERVER_FAILURES = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}


def client(address: Address, method: Method, trace: Mapping[str, str] | None, more: Attributes) -> Span:
    """Begins the span of a call to the agent at ``address``, which `end` ends; ``more``: further attributes."""
    service, name = method
    attributes = {**_names("grpc" if address.is_grpc else "ttrpc", service, name), **_place(address), **more}
    return tracing.start(f"{service}/{name}", trace, kind="client", attributes=attributes)


def end(span: Span, error: BaseException | None, failures: Container[str] | None = None, *, at: int | None = None) -> None:
    """Ends the span of a call with its status, now or ``at`` (nanoseconds of the epoch).

    ``failures``: the codes that are failures; None: every one but OK.
    """
    status = kind = "OK" if error is None else "CANCELLED"  # by whoever ends the caller
    if isinstance(error, RpcError):
        status = kind = error.name
    elif isinstance(error, Exception):
        status, kind = "UNKNOWN", type(error).__qualname__
    if error is not None and (failures is None or status in failures):
        span.fail(str(error), kind)
    span.set("rpc.response.status_code", status)
    span.end(at)


@contextmanager
def server(system: System, service: str, method: str, trace: Mapping[str, str]) -> Iterator[Span]:
    """The span of a call in the agent, with the status of its answer."""
    attributes = _names(system, service, method)
    span = tracing.start(f"{service}/{method}", trace, kind="server", attributes=attributes)
    try:
        yield span
    except BaseException as error:
        end(span, error, _SERVER_FAILURES)
        raise
    end(span, None)


@contextmanager
def waiting(trace: Mapping[str, str] | None) -> Iterator[None]:
    """The span of a run's wait for an agent, where there is none to send it to."""
    span = tracing.start("wait for agent", trace)
    try:
        yield
    except RpcError as error:
        span.fail(error.message, error.name)
        raise
    finally:
        span.end()


def _names(system: System, service: str, method: str) -> Attributes:
    return {"rpc.system.name": system, "rpc.system": system, "rpc.service": service, "rpc.method": f"{service}/{method}"}


def _place(address: Address) -> Attributes:
    if address.is_unix:
        return {"server.address": address.path, "network.transport": "unix"}
    transport = "vsock" if address.scheme == "vsock" else "tcp"
    return {"server.address": address.host, "server.port": address.port, "network.transport": transport}
