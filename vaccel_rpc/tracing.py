"""Spans, by OpenTelemetry's library where they are asked for. Where they are not, nothing is imported and nothing paid.

On where OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set and OTEL_SDK_DISABLED is not true; the library
reads all its other variables by itself. A trace travels as W3C's ``traceparent``: from HTTP into the RPC's metadata.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class TracingError(ValueError):
    """Tracing is asked for and cannot be had; the message says what is missing."""


class Span:
    """A span that is not recorded. A context manager that ends it, as failed where it is left by an exception."""

    traceparent: str | None = None

    def set(self, name: str, value: str | float) -> None:
        """Adds an attribute."""

    def end(self, end: int | None = None) -> None:
        """Ends it, now or at ``end`` (nanoseconds of the epoch)."""

    def fail(self, message: str) -> None:
        """Marks it as failed."""

    def __enter__(self) -> Span:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self.fail(f"{type(error).__name__}: {error}")
        self.end()


class _Recorded(Span):
    def __init__(self, span: Any, library: _Library) -> None:
        self._span, self._library = span, library

    @property
    def traceparent(self) -> str | None:  # type: ignore[override] # read-only here
        carrier: dict[str, str] = {}
        self._library.propagator.inject(carrier, self._library.trace.set_span_in_context(self._span))
        return carrier.get("traceparent")

    def set(self, name: str, value: str | float) -> None:
        self._span.set_attribute(name, value)

    def end(self, end: int | None = None) -> None:
        self._span.end(end)

    def fail(self, message: str) -> None:
        self._span.set_status(self._library.trace.Status(self._library.trace.StatusCode.ERROR, message))


class _Library:
    """OpenTelemetry, loaded."""

    def __init__(self, service: str) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        name = os.environ.get("OTEL_SERVICE_NAME", service)
        self.trace, self.propagator = trace, TraceContextTextMapPropagator()
        self.provider = TracerProvider(resource=Resource.create({"service.name": name}))
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.tracer = self.provider.get_tracer("vaccel")

    def start(self, name: str, parent: Mapping[str, str], begin: int | None, *, server: bool) -> Span:
        kind = self.trace.SpanKind.SERVER if server else self.trace.SpanKind.INTERNAL
        return _Recorded(self.tracer.start_span(name, self.propagator.extract(parent), kind, start_time=begin), self)


_library: _Library | None = None
_NOTHING = Span()


def configure(service: str) -> None:
    """Turns spans on where the environment asks for them. Raises `TracingError` where the extra ``otel`` is missing."""
    global _library
    wanted = next((name for name in _ENDPOINTS if os.environ.get(name)), None)
    if wanted is None or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or _library is not None:
        return
    try:
        _library = _Library(service)
    except ImportError:
        raise TracingError(f"{wanted} is set, and OpenTelemetry is not installed: pip install 'function[otel]'") from None


def on() -> bool:
    """Whether spans are recorded."""
    return _library is not None


def start(name: str, parent: Mapping[str, str] | None, begin: int | None = None, *, server: bool = False) -> Span:
    """A span that begins now, or at ``begin`` (nanoseconds of the epoch); ``parent`` holds a ``traceparent``, if there is one."""
    return _library.start(name, parent or {}, begin, server=server) if _library else _NOTHING


def child_of(span: Span, metadata: Mapping[str, str] | None) -> Mapping[str, str]:
    """The metadata with the span as parent; as it is where the span is not recorded."""
    here = span.traceparent
    return {**(metadata or {}), "traceparent": here} if here else metadata or {}


def shutdown() -> None:
    """Sends what is left."""
    if _library:
        _library.provider.shutdown()
