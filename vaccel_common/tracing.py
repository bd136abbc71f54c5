"""Spans, by OpenTelemetry's library where they are asked for, and the trace context that a request brings. Where no spans are asked
for, nothing is imported, and a valid ``traceparent`` is passed on as it came.

Spans are recorded where OTEL_TRACES_EXPORTER names an exporter, or where OTEL_EXPORTER_OTLP_ENDPOINT or
OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set; never where OTEL_SDK_DISABLED is true. The library reads its other variables by itself.
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
    """Tracing is asked for and cannot be had; the message names the variable and what would be right."""


class Span:
    """A span that is not recorded. A context manager that ends it, as failed where it is left by an exception."""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits; empty where it is not recorded."""
        return ""

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits; empty where it is not recorded."""
        return ""

    def carried(self) -> Mapping[str, str] | None:
        """The metadata that makes it the parent of what receives it; None where it is not recorded."""
        return None

    def set(self, name: str, value: str | float) -> None:
        """Adds an attribute."""

    def end(self, end: int | None = None) -> None:
        """Ends it, now or at ``end`` (nanoseconds of the epoch)."""

    def fail(self, message: str, kind: str | None = None) -> None:
        """Marks it as failed; ``kind`` is its ``error.type``: a status code, or an exception's class."""

    def __enter__(self) -> Span:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self.fail(str(error), type(error).__qualname__)
        self.end()


_library: Library | None = None
#: Whether OTEL_PROPAGATORS lets ``traceparent`` through where nothing is recorded.
_passes = True
NOTHING = Span()


def configure(service: str) -> None:
    """Turns spans on where the environment asks for them, as ``service`` unless it names another. Raises `TracingError`."""
    global _library, _passes
    _passes = "tracecontext" in _names("OTEL_PROPAGATORS", "tracecontext")
    wanted, exporters = _wanted()
    if not exporters or _library is not None:
        return
    try:
        from vaccel_common.otel import Library

        _library = Library(service, exporters)
    except ImportError:
        raise TracingError(f"{wanted} is set, and OpenTelemetry is not installed: {_INSTALL}") from None


def _wanted() -> tuple[str, list[str]]:
    """The variable that asks for spans, and the exporters that it means."""
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
    """The trace that these two belong to, as it may be passed on; an invalid ``traceparent`` is dropped with its ``tracestate``.

    Several of a kind are joined by commas: several of ``tracestate`` are one list, several of ``traceparent`` are invalid.
    """
    return tracecontext.validated(traceparent, tracestate) if traceparent and _passes else {}


def received(get: Callable[[str], str | None]) -> dict[str, str]:
    """The trace that a request belongs to, by its headers or metadata: ``get`` tells each by its name in small letters."""
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
    """A span that begins now, or at ``begin`` (nanoseconds of the epoch); ``parent`` is what `received` or `child_of` gave."""
    if _library is None:
        return NOTHING
    # One that is empty may still stand for a parent in this process, where no propagator is to name it.
    return _library.start(name, {} if parent is None else parent, begin, "server" if server else kind, attributes)


def child_of(span: Span, trace: Mapping[str, str] | None) -> Mapping[str, str]:
    """The metadata with the span as parent; ``trace`` as it is where the span is not recorded."""
    here = span.carried()
    return (trace or {}) if here is None else here


def ids(span: Span, trace: Mapping[str, str]) -> dict[str, str]:
    """The fields of a log line: ``trace_id`` of a traced request, and ``span_id`` where its span is recorded."""
    if span.trace_id:
        return {"trace_id": span.trace_id, "span_id": span.span_id}
    parent = trace.get("traceparent")
    return {"trace_id": parent[3:35]} if parent else {}


def shutdown() -> None:
    """Sends what is left."""
    if _library:
        _library.provider.shutdown()
