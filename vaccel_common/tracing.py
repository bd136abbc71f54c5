"""Spans, and the trace context of requests.

Spans are recorded by OpenTelemetry's library where OTEL_TRACES_EXPORTER names an exporter, or where
OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set; never where
OTEL_SDK_DISABLED is true. The library reads its other variables itself. Where no spans are
recorded, the library is not imported, and a valid ``traceparent`` is passed on unchanged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from vaccel_common import tracecontext

if TYPE_CHECKING:
    from vaccel_common.otel import Library

_EXPORTERS = "OTEL_TRACES_EXPORTER"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_INSTALL = "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"

Kind = Literal["internal", "server", "client"]


class TracingError(ValueError):
    """Tracing is enabled and cannot work; the message names the variable and its valid values."""


class Span:
    """A span that is not recorded.

    As a context manager it ends itself, as failed after an exception.
    """

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits; empty if the span is not recorded."""
        return ""

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits; empty if the span is not recorded."""
        return ""

    def carried(self) -> Mapping[str, str] | None:
        """The metadata that makes the span its receiver's parent; None if it is not recorded."""
        return None

    def set(self, name: str, value: str | float) -> None:
        """Adds an attribute."""

    def end(self, end: int | None = None) -> None:
        """Ends the span, now or at ``end`` (nanoseconds of the epoch)."""

    def fail(self, message: str, kind: str | None = None) -> None:
        """Marks the span as failed.

        ``kind``: its ``error.type``, a status code or an exception's class.
        """

    def __enter__(self) -> Span:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self.fail(str(error), type(error).__qualname__)
        self.end()


_library: Library | None = None
#: Whether OTEL_PROPAGATORS allows to pass ``traceparent`` on where no spans are recorded.
_passes = True
NOTHING = Span()


def configure(service: str) -> None:
    """Turns spans on where the environment enables them. Raises `TracingError`.

    ``service``: the name of the service, unless the environment has another.
    """
    global _library, _passes
    _passes = "tracecontext" in _names("OTEL_PROPAGATORS", "tracecontext")
    variable, exporters = _enabled_by()
    if not exporters or _library is not None:
        return
    try:
        from vaccel_common.otel import Library

        _library = Library(service, exporters)
    except ImportError:
        raise TracingError(f"{variable} is set, and OpenTelemetry is not installed: {_INSTALL}") from None


def _enabled_by() -> tuple[str, list[str]]:
    """The variable that enables spans, and its exporters."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return "", []
    if names := _names(_EXPORTERS):
        return _EXPORTERS, [name for name in names if name != "none"]
    endpoint = next((name for name in _ENDPOINTS if os.environ.get(name)), "")
    return endpoint, ["otlp"] if endpoint else []


def _names(variable: str, default: str = "") -> list[str]:
    return [name.strip().lower() for name in (os.environ.get(variable) or default).split(",") if name.strip()]


def on() -> bool:
    """Whether spans are recorded."""
    return _library is not None


def context(traceparent: str | None, tracestate: str | None = None) -> dict[str, str]:
    """The trace context of two headers; empty where ``traceparent`` is invalid.

    Repeated headers are joined by commas: several of ``tracestate`` are one list, several of
    ``traceparent`` are invalid.
    """
    return tracecontext.validated(traceparent, tracestate) if traceparent and _passes else {}


def received(get: Callable[[str], str | None]) -> dict[str, str]:
    """The trace context of a request.

    ``get`` returns a header or metadata by its lower-case name.
    """
    trace = context(get("traceparent"), get("tracestate"))
    for name in _library.fields if _library else ():
        if value := get(name):
            tracecontext.add(trace, name, value)
    return trace


def start(
    name: str,
    parent: Mapping[str, str] | None,
    begin: int | None = None,
    *,
    server: bool = False,
    kind: Kind = "internal",
    attributes: Mapping[str, str | int] | None = None,
) -> Span:
    """Starts a span, now or at ``begin`` (nanoseconds of the epoch).

    ``parent``: a result of `received` or `child_of`.
    """
    if _library is None:
        return NOTHING
    # Not by truth: an empty mapping may refer to a parent in this process that no propagator names.
    return _library.start(name, {} if parent is None else parent, begin, "server" if server else kind, attributes)


def child_of(span: Span, trace: Mapping[str, str] | None) -> Mapping[str, str]:
    """The metadata with the span as parent; ``trace`` unchanged if the span is not recorded."""
    carried = span.carried()
    return (trace or {}) if carried is None else carried


def ids(span: Span, trace: Mapping[str, str]) -> dict[str, str]:
    """The ``trace_id`` of a traced request for log lines, and the ``span_id`` if its span is
    recorded.
    """
    if span.trace_id:
        return {"trace_id": span.trace_id, "span_id": span.span_id}
    parent = trace.get("traceparent")
    return {"trace_id": parent[3:35]} if parent else {}


def shutdown() -> None:
    """Exports the remaining spans."""
    if _library:
        _library.provider.shutdown()
