"""An OpenTelemetry collector that a test reads."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.context import Context
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from vaccel_common import tracing
from vaccel_common.otel import Library

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


def values(attributes: Any) -> dict[str, Any]:
    """Attributes of a span or a resource, as Python has them."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


@dataclass
class Collector:
    """A collector's address, the spans that it was sent by service and name, and each service's attributes."""

    address: str
    spans: dict[str, list[Any]] = field(default_factory=dict)
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """What makes a process send its spans here."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.address, "OTEL_BSP_SCHEDULE_DELAY": "200"}

    def take(self, sent: ExportTraceServiceRequest) -> None:
        """Keeps what came."""
        for resource in sent.resource_spans:
            attributes = values(resource.resource.attributes)
            self.resources[attributes["service.name"]] = attributes
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.setdefault(f"{attributes['service.name']}: {span.name}", []).append(span)

    def one(self, name: str) -> Any:
        """The only span of that name; waits for it."""
        end = time.monotonic() + 10
        while name not in self.spans and time.monotonic() < end:
            time.sleep(0.02)
        (span,) = self.spans.get(name, [None])
        assert span is not None, sorted(self.spans)
        return span


@contextmanager
def collecting_spans() -> Iterator[Collector]:
    """A collector that receives what is exported to its address, over HTTP."""

    class CollectorHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            packed = self.headers.get("Content-Encoding") == "gzip"
            collector.take(ExportTraceServiceRequest.FromString(gzip.decompress(body) if packed else body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), CollectorHandler)
    collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()


class SpanRecorder(SpanProcessor):  # type: ignore[misc] # the library is not followed
    """The spans of this process: those that are open, by their ids, and those that have ended, in that order."""

    def __init__(self) -> None:
        self.open: dict[int, str] = {}
        self.ended: list[ReadableSpan] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 as the library calls it
        """Keeps the name of one that begins."""
        self.open[span.get_span_context().span_id] = span.name

    def on_end(self, span: ReadableSpan) -> None:
        """Keeps one that has ended."""
        del self.open[span.get_span_context().span_id]
        self.ended.append(span)


@contextmanager
def recorded_spans() -> Iterator[SpanRecorder]:
    """Records this process's spans, which go nowhere else."""
    library, recorder = Library("tests", []), SpanRecorder()
    library.provider.add_span_processor(recorder)
    tracing._library = library
    try:
        yield recorder
    finally:
        tracing._library = None
