"""Spans by OpenTelemetry's library, which is configured by its own variables.

Needs the extra ``otel``; imported only where spans are recorded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from vaccel_common import tracecontext
from vaccel_common.tracing import Kind, Span, TracingError

_KINDS = {"internal": trace.SpanKind.INTERNAL, "server": trace.SpanKind.SERVER, "client": trace.SpanKind.CLIENT}
_GROUP = "opentelemetry_traces_exporter"
_PROTOCOL_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
#: Protocol -> the entry point of its exporter, and the package that provides it.
_PROTOCOLS = {
    "http/protobuf": ("otlp_proto_http", "opentelemetry-exporter-otlp-proto-http"),
    "grpc": ("otlp_proto_grpc", "opentelemetry-exporter-otlp-proto-grpc"),
}


class _SpanCarrier(dict[str, str]):
    """A span's metadata for the wire, by OTEL_PROPAGATORS, and its context for children in this
    process.
    """

    context: Context


class _CarrierAccess:
    """Reads and writes propagators' metadata: lower-case names, and only what transports accept."""

    def get(self, carrier: Mapping[str, str], key: str) -> list[str] | None:
        value = carrier.get(key.lower())
        return None if value is None else [value]

    def keys(self, carrier: Mapping[str, str]) -> list[str]:
        return list(carrier)

    def set(self, carrier: dict[str, str], key: str, value: str) -> None:
        tracecontext.add(carrier, key.lower(), value)


_ACCESS = _CarrierAccess()


class Library:
    """A tracer provider with its exporters.

    ``fields``: names of the propagators' metadata, without W3C's own. Raises `TracingError` where a
    variable names something that is not installed.
    """

    def __init__(self, service: str, exporters: Sequence[str]) -> None:
        self.propagator = _propagator()
        self.fields = {name.lower() for name in self.propagator.fields} - {"traceparent", "tracestate"}
        try:
            self.provider = TracerProvider(resource=_resource(service))
            for name in exporters:
                self.provider.add_span_processor(BatchSpanProcessor(_exporter(name)))
        except TracingError:
            raise
        except ValueError as error:
            raise TracingError(f"OpenTelemetry cannot be set up by its variables (OTEL_...): {error}") from None
        self.tracer = self.provider.get_tracer("vaccel")

    def start(
        self, name: str, parent: Mapping[str, str], begin: int | None, kind: Kind, attributes: Mapping[str, str | int] | None
    ) -> Span:
        """A span whose parent is that of ``parent``, a carrier or metadata."""
        context = parent.context if isinstance(parent, _SpanCarrier) else self.propagator.extract(parent, Context(), _ACCESS)
        return _RecordedSpan(self.tracer.start_span(name, context, _KINDS[kind], attributes, start_time=begin), context, self)


class _RecordedSpan(Span):
    def __init__(self, span: Any, parent: Context, library: Library) -> None:
        self._span, self._parent, self._library = span, parent, library

    @property
    def trace_id(self) -> str:
        return trace.format_trace_id(self._span.get_span_context().trace_id)  # type: ignore[no-any-return]

    @property
    def span_id(self) -> str:
        return trace.format_span_id(self._span.get_span_context().span_id)  # type: ignore[no-any-return]

    def carried(self) -> Mapping[str, str]:
        carried = _SpanCarrier()
        carried.context = trace.set_span_in_context(self._span, self._parent)
        self._library.propagator.inject(carried, carried.context, _ACCESS)
        return carried

    def set(self, name: str, value: str | float) -> None:
        self._span.set_attribute(name, value)

    def end(self, end: int | None = None) -> None:
        self._span.end(end)

    def fail(self, message: str, kind: str | None = None) -> None:
        if kind:
            self._span.set_attribute("error.type", kind)
        self._span.set_status(trace.Status(trace.StatusCode.ERROR, message))


def _propagator() -> Any:
    try:
        from opentelemetry.propagate import get_global_textmap
    except ValueError as error:  # raised by the import, which reads the variable
        raise TracingError(f"OTEL_PROPAGATORS={os.environ.get('OTEL_PROPAGATORS')}: {error}") from None
    return get_global_textmap()


def _resource(service: str) -> Resource:
    """The resource by OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.

    ``service`` replaces the library's default name.
    """
    resource = Resource.create()
    unnamed = str(resource.attributes[SERVICE_NAME]).startswith("unknown_service")
    return resource.merge(Resource({SERVICE_NAME: service})) if unnamed else resource


def _exporter(name: str) -> Any:
    entry, problem = (name, _unknown(name)) if name != "otlp" else _otlp()
    for exporter in entry_points(group=_GROUP, name=entry):
        return exporter.load()()
    raise TracingError(problem)


def _unknown(name: str) -> str:
    others = sorted({each.name for each in entry_points(group=_GROUP)} - {entry for entry, _ in _PROTOCOLS.values()})
    return f"OTEL_TRACES_EXPORTER={name}: no such exporter is installed; there are {', '.join([*others, 'none', 'otlp'])}"


def _otlp() -> tuple[str, str]:
    """The entry point of the configured protocol, and the message where it is not installed."""
    variable = next((name for name in _PROTOCOL_VARIABLES if os.environ.get(name)), _PROTOCOL_VARIABLES[-1])
    protocol = os.environ.get(variable, "").strip().lower() or "http/protobuf"
    if protocol not in _PROTOCOLS:
        raise TracingError(f"{variable}={protocol}: it must be http/protobuf or grpc")
    entry, package = _PROTOCOLS[protocol]
    return entry, f"{variable}={protocol}: its exporter is not installed: pip install {package}"
