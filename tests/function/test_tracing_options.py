"""Which of OpenTelemetry's variables switch spans on, where they go, and what goes on to the agent."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.collector import TRACE, TRACEPARENT, Collector
from tests.support.paths import ROOT
from tests.support.servers import python, spawn

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
    is_recorded, request, _, _, metadata = call(W3C, **env)
    assert is_recorded == recorded
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
    expected = "test" if "environment" in env.get("OTEL_RESOURCE_ATTRIBUTES", "") else None
    assert collector.resources[name].get("deployment.environment.name") == expected


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
