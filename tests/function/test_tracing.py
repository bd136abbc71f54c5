"""One trace from HTTP through the function and the RPC into the agent, as a collector receives it."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.functions import start, wait_until_ready
from tests.support.paths import MODELS, ROOT
from tests.support.servers import ServerProcess, SpawnAgent, spawn

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
RUN = "vaccel.sync.agent.AgentService/TorchModelRun"
#: OpenTelemetry's numbers for them on the wire.
SERVER, CLIENT = 2, 3
FAILED = 2


def values(attributes: Any) -> dict[str, Any]:
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


@pytest.fixture
def collector() -> Iterator[Collector]:
    class CollectorHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            packed = self.headers.get("Content-Encoding") == "gzip"
            collecting.take(ExportTraceServiceRequest.FromString(gzip.decompress(body) if packed else body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), CollectorHandler)
    collecting = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield collecting
    server.shutdown()


def ask(
    server: ServerProcess, headers: list[tuple[str, bytes]], path: str = "/classify", body: bytes = b'{"text": "tea"}'
) -> int:
    """The status of a request whose headers' values are these bytes."""
    connection = http.client.HTTPConnection(server.addresses["http"].removeprefix("http://"), timeout=20)
    connection.putrequest("POST", path)
    for name, value in [("Content-Type", b"application/json"), ("Content-Length", str(len(body)).encode()), *headers]:
        connection.putheader(name, value)
    connection.endheaders(body)
    with connection.getresponse() as answer:
        return answer.status


@pytest.mark.parametrize("scheme", ["unix", "grpc"])
def test_one_trace_from_end_to_end(collector: Collector, spawn_agent: SpawnAgent, tmp_path: Path, scheme: str) -> None:
    """Each span has the one above as parent, of the caller's trace, and lies within it in time; over ttrpc and gRPC."""
    listen = "grpc://127.0.0.1:0" if scheme == "grpc" else f"unix://{tmp_path}/a.sock"
    agent = spawn_agent("-a", listen, "--models", str(MODELS), "--preload", "tweets", env=collector.env)
    server = start(tmp_path, agent.addresses[scheme], **collector.env)
    try:
        wait_until_ready(server)
        headers = {"traceparent": TRACEPARENT, "tracestate": "congo=t61, rojo=1"}
        assert requests.post(server.addresses["http"] + "/classify", json={"text": "tea"}, headers=headers, timeout=20).ok
    finally:
        assert server.stop() == 0
    assert agent.stop() == 0
    way = ["function: POST /classify", f"function: {RUN}", f"vaccel-rpc-agent: {RUN}", "vaccel-rpc-agent: batch"]
    above = None
    for name in way:
        span = collector.one(name)
        assert span.trace_id.hex() == TRACE
        assert span.trace_state == "congo=t61,rojo=1"
        assert span.parent_span_id.hex() == (above.span_id.hex() if above else PARENT)
        assert above is None or above.start_time_unix_nano - 2_000_000 <= span.start_time_unix_nano <= span.end_time_unix_nano
        above = span
    request, run = collector.one(way[0]), collector.one(way[2])
    assert collector.one("function: tokenize").parent_span_id == request.span_id
    for region in ("queue", "forward"):
        assert collector.one(f"vaccel-rpc-agent: {region}").parent_span_id == run.span_id
    attributes = values(request.attributes)
    assert attributes["http.route"] == "/classify"
    assert attributes["http.response.status_code"] == 200
    _check_rpc(collector.one(way[1]), run, agent.addresses[scheme])
    assert f"PyTorch jitload forward trace_id={TRACE} span_id={run.span_id.hex()}\n" in agent.text


def _check_rpc(client: Any, server: Any, address: str) -> None:
    """Both sides of the call have OpenTelemetry's conventions for RPCs."""
    scheme, _, rest = address.partition("://")
    system = "grpc" if scheme == "grpc" else "ttrpc"
    host, _, port = rest.partition(":")
    place = {"server.address": host, "server.port": int(port), "network.transport": "tcp"} if port else {}
    names = {"rpc.system.name": system, "rpc.system": system, "rpc.service": RUN.partition("/")[0], "rpc.method": RUN}
    names["rpc.response.status_code"] = "OK"
    there = {**names, "server.address": rest, "network.transport": "unix", **place, "vaccel.runs": 1}
    assert (client.kind, values(client.attributes), client.status.code) == (CLIENT, there, 0)
    assert (server.kind, values(server.attributes), server.status.code) == (SERVER, {**names, "vaccel.batch.rows": 1}, 0)


def test_spans_of_http_requests(collector: Collector, agent: ServerProcess, tmp_path: Path) -> None:
    """OpenTelemetry's attributes; where no route matched, none is made up, and a method that a client makes up names nothing."""
    server = start(tmp_path, agent.addresses["unix"], **collector.env)
    place = server.addresses["http"].removeprefix("http://")
    try:
        wait_until_ready(server)
        connection = http.client.HTTPConnection(place, timeout=20)
        for method, path, host, proto in (
            ("POST", "/classify?top_k=1", place, ""), ("GET", "/no%20thing/%C3%A9", "[::1]", "https"), ("PROPFIND", "/nothing", "a.example:", ""),
            ("GET", "/v2/models/nothing", "a.example:8080", ""), ("POST", "/health/liveness", "", ""),
        ):  # fmt: skip
            headers = {"Host": host, "X-Request-Id": "r", "Content-Type": "application/json", "X-Forwarded-Proto": proto}
            connection.request(method, path, b'{"text": "tea"}', headers)
            connection.getresponse().read()
    finally:
        assert server.stop() == 0
    common = {"network.protocol.version": "1.1", "request.id": "r"}
    address, _, port = place.partition(":")

    def check(name: str, status: int, path: str, *, scheme: str = "http", **more: Any) -> None:
        spans = [span for span in collector.spans[f"function: {name}"] if values(span.attributes)["url.path"] == path]
        own = {
            "http.response.status_code": status,
            "url.path": path,
            "url.scheme": scheme,
            "http.request.method": name.split()[0],
        }
        assert [(span.kind, values(span.attributes), span.status.code) for span in spans] == [
            (SERVER, common | own | {name.replace("_", "."): value for name, value in more.items()}, 0)
        ]

    check("POST /classify", 200, "/classify", http_route="/classify", server_address=address, server_port=int(port))
    check("GET", 404, "/no%20thing/%C3%A9", scheme="https", server_address="::1")
    check("POST", 405, "/health/liveness")
    route = "/v2/models/<name>"
    check(f"GET {route}", 404, "/v2/models/nothing", http_route=route, server_address="a.example", server_port=8080)
    unknown = values(collector.one("function: HTTP").attributes)
    assert (unknown["http.request.method"], unknown["http.request.method_original"]) == ("_OTHER", "PROPFIND")
    assert (unknown["server.address"], "server.port" in unknown, "http.route" in unknown) == ("a.example", False, False)


def test_a_call_that_fails_says_how(collector: Collector, spawn_agent: SpawnAgent) -> None:
    """What its caller did wrong is an error of the client's span; only what the agent failed at is one of its own too."""
    agent = spawn_agent("--models", str(MODELS), "--preload", "tweets", env=collector.env)
    code = f"""if True:
        from vaccel_common import tracing
        from vaccel_rpc.addresses import parse
        from vaccel_rpc.errors import RpcError
        from vaccel_rpc.remote import ModelSource, RemoteModel
        tracing.configure("caller")
        remote = RemoteModel(parse({agent.addresses["unix"]!r}), ModelSource("tweets"))
        remote.connect()
        for address, outputs in ((remote, 1), (RemoteModel(parse("tcp://127.0.0.1:9"), ModelSource("tweets")), 2)):
            try:
                address.run([], outputs)
            except RpcError as error:
                print(error.name)
        tracing.shutdown()
        """
    assert python(code, **collector.env).split() == ["INVALID_ARGUMENT", "UNAVAILABLE"]
    assert agent.stop() == 0
    refused, unreached = sorted(collector.spans[f"caller: {RUN}"], key=lambda span: span.start_time_unix_nano)
    for span, status in ((refused, "INVALID_ARGUMENT"), (unreached, "UNAVAILABLE")):
        attributes = values(span.attributes)
        assert (attributes["error.type"], attributes["rpc.response.status_code"]) == (status, status)
        assert (span.kind, span.status.code, bool(span.status.message)) == (CLIENT, FAILED, True)
    assert values(unreached.attributes)["server.port"] == 9
    run = collector.one(f"vaccel-rpc-agent: {RUN}")
    assert (run.parent_span_id, run.status.code) == (refused.span_id, 0)
    assert values(run.attributes)["rpc.response.status_code"] == "INVALID_ARGUMENT"


#: What a client may send instead of a trace: latin-1, other controls, too much, two of a kind.
NASTY: list[list[tuple[str, bytes]]] = [
    [("traceparent", b"00-caf\xe9")],
    [("traceparent", TRACEPARENT.encode() + b"\xe9")],
    [("traceparent", b"cc" + TRACEPARENT[2:].encode() + b"-\xff")],
    [("traceparent", b"cc" + TRACEPARENT[2:].encode() + b"-" + b"x" * 8000)],
    [("traceparent", TRACEPARENT.encode()), ("tracestate", b"a=caf\xe9")],
    [("traceparent", TRACEPARENT.encode()), ("tracestate", b"a=1,\tb=" + b"x" * 20)],
    [("traceparent", TRACEPARENT.encode()), ("tracestate", b"a=" + b"x" * 9000)],
    [("baggage", b"tea=caf\xe9"), ("baggage", b"a=" + b"%E2%80%A8" * 700)],
]


@pytest.mark.parametrize("recorded", [False, True])
def test_no_trace_of_a_request_fails_it(collector: Collector, agent: ServerProcess, tmp_path: Path, recorded: bool) -> None:
    """Whatever the headers hold, the call over gRPC is made and the request answered; with spans as without."""
    server = start(tmp_path, agent.addresses["grpc"], **(collector.env if recorded else {}))
    try:
        wait_until_ready(server)
        assert [ask(server, headers) for headers in NASTY] == [200] * len(NASTY)
    finally:
        assert server.stop() == 0
    if recorded:
        traces = [span.trace_id.hex() for span in collector.spans["function: POST /classify"]]
        assert traces.count(TRACE) == 3
        assert len(set(traces)) == 6


def test_an_invalid_trace_leaves_the_agent_without_one(agent: ServerProcess, tmp_path: Path) -> None:
    """A valid one goes through a function that records nothing into the agent's log; of another no byte does."""
    server = start(tmp_path, agent.addresses["unix"])
    valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    try:
        wait_until_ready(server)
        assert ask(server, [("traceparent", valid.encode())]) == 200
        assert ask(server, [("traceparent", valid.replace("4bf9", "4BF9").encode())]) == 200
    finally:
        server.stop()
    agent.wait_for(f"forward trace_id={valid[3:35]}\n")
    assert "4BF9" not in agent.text


def python(code: str, **env: str) -> str:
    """What a program prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    ).stdout


#: A request's span and one within it: whether they are recorded, their trace and span ids, and what goes on to the agent.
CALL = """if True:
    import json, os
    from vaccel_common import tracing
    tracing.configure("function")
    trace = tracing.received(json.loads(os.environ["HEADERS"]).get)
    with tracing.start("GET /", trace, server=True) as request:
        above = tracing.child_of(request, trace)
        with tracing.start("call", above, kind="client") as call:
            print(json.dumps([tracing.on(), request.trace_id, call.trace_id, call.span_id, tracing.child_of(call, above)]))
    tracing.shutdown()
"""


def call(headers: dict[str, str], **env: str) -> tuple[bool, str, str, str, dict[str, str]]:
    printed = python(CALL, HEADERS=json.dumps(headers), **env)
    recorded, request, trace, span, metadata = json.loads(printed.split("\n", 1)[0])
    return recorded, request, trace, span, metadata


W3C = {"traceparent": TRACEPARENT, "tracestate": "congo=1"}


def test_propagators_are_those_of_the_variable(collector: Collector, tmp_path: Path) -> None:
    """By default trace context and baggage; none, and the process's own spans are still one trace; or an installed one."""
    env = collector.env
    _, request, trace, span, metadata = call({**W3C, "baggage": "tea=green"}, **env)
    assert (request, trace) == (TRACE, TRACE)
    assert metadata == {"traceparent": f"00-{TRACE}-{span}-01", "tracestate": "congo=1", "baggage": "tea=green"}

    _, request, trace, span, metadata = call(W3C, **env, OTEL_PROPAGATORS="none")
    assert request == trace != TRACE
    assert metadata == {}

    _, request, trace, span, metadata = call({**W3C, "baggage": "tea=green"}, **env, OTEL_PROPAGATORS="baggage")
    assert request == trace != TRACE
    assert metadata == {"baggage": "tea=green"}

    env["PYTHONPATH"] = f"{ROOT}{os.pathsep}{_install_courier(tmp_path)}"
    _, request, trace, span, metadata = call({"x-courier": TRACE}, **env, OTEL_PROPAGATORS="courier, tracecontext")
    assert (request, trace) == (TRACE, TRACE)
    assert metadata == {"x-courier": TRACE, "traceparent": f"00-{TRACE}-{span}-01"}


def _install_courier(folder: Path) -> Path:
    """A package with a propagator of its own header, written in capital letters, and another that gRPC would refuse."""
    (folder / "courier-1.dist-info").mkdir()
    (folder / "courier-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: courier\nVersion: 1\n")
    (folder / "courier-1.dist-info/entry_points.txt").write_text("[opentelemetry_propagator]\ncourier = courier:Courier\n")
    (folder / "courier.py").write_text("""if True:
        from opentelemetry import trace
        class Courier:
            fields = {"X-Courier"}
            def extract(self, carrier, context, getter):
                (given,) = getter.get(carrier, "X-Courier") or ("0",)
                parent = trace.SpanContext(int(given, 16), 1, True, trace.TraceFlags(1))
                return trace.set_span_in_context(trace.NonRecordingSpan(parent), context)
            def inject(self, carrier, context, setter):
                ids = trace.get_current_span(context).get_span_context()
                setter.set(carrier, "X-Courier", trace.format_trace_id(ids.trace_id))
                setter.set(carrier, "X-Note", "caf\xe9")
        """)
    return folder


@pytest.mark.parametrize(
    ("env", "recorded", "passed"),
    [
        ({}, False, W3C),
        ({"OTEL_PROPAGATORS": "none"}, False, {}),
        ({"OTEL_PROPAGATORS": "baggage"}, False, {}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "TRUE"}, False, W3C),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"}, False, W3C),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true", "OTEL_PROPAGATORS": "none"}, False, {}),
        ({"OTEL_TRACES_EXPORTER": "console"}, True, None),
        ({"OTEL_TRACES_EXPORTER": " Console , none"}, True, None),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "no"}, True, None),
    ],
)
def test_spans_are_on_where_the_variables_say_so(env: dict[str, str], recorded: bool, passed: dict[str, str] | None) -> None:
    """Off, a valid trace goes on as it came, unless no propagator is to pass it."""
    found, request, _, _, metadata = call(W3C, **env)
    assert found == recorded
    assert passed is None or metadata == passed
    assert request == (TRACE if recorded else "")


def test_the_console_and_a_collector_get_the_same(collector: Collector) -> None:
    """Several exporters are a list; the one of the console prints."""
    printed = python(CALL, HEADERS=json.dumps(W3C), **collector.env, OTEL_TRACES_EXPORTER="otlp,console")
    assert '"name": "GET /"' in printed
    assert collector.one("function: GET /").trace_id.hex() == TRACE


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({}, "function"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test"}, "function"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=teahouse,deployment.environment.name=test"}, "teahouse"),
        ({"OTEL_SERVICE_NAME": "kettle", "OTEL_RESOURCE_ATTRIBUTES": "service.name=teahouse"}, "kettle"),
        ({"OTEL_SERVICE_NAME": ""}, "function"),
    ],
)
def test_a_service_is_what_its_variables_say(collector: Collector, env: dict[str, str], name: str) -> None:
    """OTEL_SERVICE_NAME before OTEL_RESOURCE_ATTRIBUTES before our own name; the other attributes are kept."""
    call({}, **collector.env, **env)
    collector.one(f"{name}: GET /")
    wanted = "test" if "environment" in env.get("OTEL_RESOURCE_ATTRIBUTES", "") else None
    assert collector.resources[name].get("deployment.environment.name") == wanted


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
WRONG = [
    ({"OTEL_PROPAGATORS": "tracecontext,pigeon"}, "OTEL_PROPAGATORS=tracecontext,pigeon: Propagator pigeon not found"),
    (
        {"OTEL_TRACES_EXPORTER": "pigeon"},
        "OTEL_TRACES_EXPORTER=pigeon: no such exporter is installed; there are console, none, otlp",
    ),
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "pigeon"}, "OTEL_EXPORTER_OTLP_PROTOCOL=pigeon: it must be http/protobuf or grpc"),
    (
        {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc: its exporter is not installed: pip install opentelemetry-exporter-otlp-proto-grpc",
    ),
    ({"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "9999"}, "OpenTelemetry cannot be set up by its variables"),
]


@pytest.mark.parametrize(
    ("module", "env", "says"), [("agent", *WRONG[0]), *(("function", *row) for row in WRONG)], ids=lambda value: str(value)[:40]
)
def test_a_wrong_variable_is_one_line(tmp_path: Path, module: str, env: dict[str, str], says: str) -> None:
    """Neither serves with tracing other than was asked for: it says what is wrong, and exits with 2."""
    server = spawn(tmp_path / "log", module, env={**ENDPOINT, **env, "PORT": "0"})
    assert server.process.wait(30) == 2
    (line,) = [line for line in server.text.splitlines() if "OTEL_" in line]
    assert says in line
    assert "Traceback" not in server.text


def test_tracing_without_its_extra_is_one_line(tmp_path: Path) -> None:
    """Asked for and not installed: the function says what to install, and exits with 2."""
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry/__init__.py").write_text("raise ImportError('not installed')")
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "PYTHONPATH": str(tmp_path), "PORT": "0"}
    server = spawn(tmp_path / "log", "function", env=env)
    assert server.process.wait(20) == 2
    assert "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http" in server.text
    assert "Traceback" not in server.text
