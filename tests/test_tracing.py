"""One trace from HTTP through the function and the RPC into the agent, as a collector receives it."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.conftest import MODELS, SpawnAgent, spawn
from tests.test_function import start, wait_until_ready

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
Spans = dict[str, list[Any]]


@pytest.fixture
def collector() -> Iterator[tuple[str, Spans]]:
    """A collector's address, and the spans that it was sent, by name; each with its service's name as ``service``."""
    spans: Spans = {}

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sent = ExportTraceServiceRequest.FromString(
                gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            )
            for resource in sent.resource_spans:
                service = {pair.key: pair.value.string_value for pair in resource.resource.attributes}["service.name"]
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        spans.setdefault(f"{service}: {span.name}", []).append(span)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", spans
    server.shutdown()


@pytest.mark.parametrize("scheme", ["unix", "grpc"])
def test_one_trace_from_end_to_end(collector: tuple[str, Spans], spawn_agent: SpawnAgent, tmp_path: Path, scheme: str) -> None:
    """Each span has the one above as parent, of the caller's trace, and lies within it in time; over ttrpc and gRPC."""
    address, spans = collector
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    listen = "grpc://127.0.0.1:0" if scheme == "grpc" else f"unix://{tmp_path}/a.sock"
    agent = spawn_agent("-a", listen, "--models", str(MODELS), "--preload", "tweets", env=env)
    server = start(tmp_path, agent.addresses[scheme], **env)
    try:
        wait_until_ready(server)
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        assert requests.post(server.addresses["http"] + "/classify", json={"text": "tea"}, headers=headers, timeout=20).ok
    finally:
        assert server.stop() == 0
    assert agent.stop() == 0
    way = ["function: POST /classify", "function: rpc", "vaccel-rpc-agent: TorchModelRun", "vaccel-rpc-agent: batch"]
    end = time.monotonic() + 10
    while not all(name in spans for name in way) and time.monotonic() < end:
        time.sleep(0.05)
    above = None
    for name in way:
        (span,) = spans[name]
        assert span.trace_id.hex() == TRACE
        assert span.parent_span_id.hex() == (above.span_id.hex() if above else PARENT)
        assert above is None or above.start_time_unix_nano - 2_000_000 <= span.start_time_unix_nano <= span.end_time_unix_nano
        above = span
    (request,), (run,) = spans[way[0]], spans[way[2]]
    assert {span.parent_span_id for span in spans["function: tokenize"]} == {request.span_id}
    for region in ("queue", "forward"):
        assert {span.parent_span_id for span in spans[f"vaccel-rpc-agent: {region}"]} == {run.span_id}
    attributes = {pair.key: pair.value for pair in request.attributes}
    assert attributes["http.route"].string_value == "/classify"
    assert attributes["http.response.status_code"].int_value == 200


def test_tracing_without_its_extra_is_one_line(tmp_path: Path) -> None:
    """Asked for and not installed: the function says what to install, and exits with 2."""
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry/__init__.py").write_text("raise ImportError('not installed')")
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "PYTHONPATH": str(tmp_path), "PORT": "0"}
    server = spawn(tmp_path / "log", "function", env=env)
    assert server.process.wait(20) == 2
    assert "pip install 'function[otel]'" in server.text
    assert "Traceback" not in server.text
