"""One trace from HTTP through the function and the RPC into the agent, as a collector receives it."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.collector import PARENT, TRACE, TRACEPARENT, Collector, values
from tests.support.functions import start, wait_until_ready
from tests.support.paths import shipped_store
from tests.support.servers import ServerProcess, SpawnAgent, python

RUN = "vaccel.sync.agent.AgentService/TorchModelRun"
#: OpenTelemetry's numbers for them on the wire.
INTERNAL, SERVER, CLIENT = 1, 2, 3
FAILED = 2


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
    agent = spawn_agent("-a", listen, "--models", str(shipped_store()), "--preload", "tweets", env=collector.env)
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
    attributes = {**names, "server.address": rest, "network.transport": "unix", **place}
    assert (client.kind, values(client.attributes), client.status.code) == (CLIENT, attributes, 0)
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
    """What its caller did wrong is an error of the client's span; only what the agent failed at is one of its own too.

    Where no agent can be reached, nothing is sent: the wait for one fails.
    """
    agent = spawn_agent("--models", str(shipped_store()), "--preload", "tweets", env=collector.env)
    code = f"""if True:
        from vaccel_common import tracing
        from vaccel_rpc.pool.targets import parse_targets
        from vaccel_rpc.errors import RpcError
        from vaccel_rpc.registering import ModelSource
        from vaccel_rpc.remote import RemoteModel
        tracing.configure("caller")
        remote = RemoteModel(parse_targets({agent.addresses["unix"]!r}), ModelSource("tweets"))
        remote.connect()
        for address, outputs in ((remote, 1), (RemoteModel(parse_targets("tcp://127.0.0.1:9"), ModelSource("tweets")), 2)):
            try:
                address.run([], outputs)
            except RpcError as error:
                print(error.name)
        tracing.shutdown()
        """
    assert python(code, **collector.env).split() == ["INVALID_ARGUMENT", "UNAVAILABLE"]
    assert agent.stop() == 0
    refused, unreached = collector.one(f"caller: {RUN}"), collector.one("caller: wait for agent")
    for span, kind, status in ((refused, CLIENT, "INVALID_ARGUMENT"), (unreached, INTERNAL, "UNAVAILABLE")):
        assert values(span.attributes)["error.type"] == status
        assert (span.kind, span.status.code, bool(span.status.message)) == (kind, FAILED, True)
    assert values(refused.attributes)["rpc.response.status_code"] == "INVALID_ARGUMENT"
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
