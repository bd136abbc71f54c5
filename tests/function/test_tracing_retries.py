"""One trace over the tries of a request: agents that are full, frozen, told to end or killed, and the one that answers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.collector import PARENT, Collector, values
from tests.support.functions import function_of
from tests.support.ports import free_ports
from tests.support.servers import ServerProcess, SpawnAgent
from tests.support.sleepers import NAP, napping

RUN = "vaccel.sync.agent.AgentService/TorchModelRun"
BODY = b'{"text": "tea"}'
#: More runs than an agent takes that has room for one, each long enough for the next to come meanwhile.
TEXTS = 6
MANY = json.dumps({"texts": ["a cup of tea " * 100] * TEXTS}).encode()
SCHEMES, STEPS = ("tcp", "grpc"), ("frozen", "gone", "ending", "killed", "full")


def trace_id(scheme: str, step: str) -> str:
    """That of a step's request."""
    return f"{10 * SCHEMES.index(scheme) + STEPS.index(step) + 1:032x}"


def until(condition: Callable[[], object]) -> None:
    """Returns when it holds."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def unread(port: int) -> int:
    """Bytes that this port's process has been sent and has not read. Source: proc(5), /proc/net/tcp."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    connected = "01"
    return sum(
        int(fields[4].partition(":")[2], 16)
        for fields in lines
        if int(fields[1].partition(":")[2], 16) == port and fields[3] == connected
    )


@contextlib.contextmanager
def frozen(agent: ServerProcess) -> Iterator[None]:
    """The agent stands still for so long."""
    os.kill(agent.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(agent.process.pid, signal.SIGCONT)


class TracedRequests:
    """Requests to a function, each of a trace of its own. ``scheme``: that of its agents' addresses."""

    def __init__(self, server: ServerProcess, scheme: str, pool: ThreadPoolExecutor) -> None:
        self.server, self._scheme, self._pool = server, scheme, pool

    def send(self, step: str, body: bytes = BODY) -> Future[requests.Response]:
        """Sends one."""
        url, headers = self.server.addresses["http"] + "/classify", {**self._trace(step), "Content-Type": "application/json"}
        return self._pool.submit(requests.post, url, data=body, headers=headers, timeout=20)

    def send_and_go(self, step: str) -> socket.socket:
        """Sends one over a connection whose end the caller may close at any time."""
        host, _, port = self.server.addresses["http"].removeprefix("http://").rpartition(":")
        connection = socket.create_connection((host, int(port)), 10)
        head = f"POST /classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"
        connection.sendall(head.encode() + f"traceparent: {self._trace(step)['traceparent']}\r\n\r\n".encode() + BODY)
        return connection

    def states(self) -> list[str]:
        """The state of each agent, as the function says."""
        about = requests.get(self.server.addresses["http"] + "/", headers={"Accept": "application/json"}, timeout=5).json()
        return [agent["state"] for agent in about["agents"]]

    def _trace(self, step: str) -> dict[str, str]:
        return {"traceparent": f"00-{trace_id(self._scheme, step)}-{PARENT}-01"}


@contextlib.contextmanager
def functions(folder: Path, collector: Collector, ports: dict[str, dict[str, int]]) -> Iterator[list[TracedRequests]]:
    """A function for each scheme, which prefers the first agent and has reached both."""
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(4))
        clients = []
        for scheme in SCHEMES:
            own = folder / scheme
            own.mkdir()
            addresses = ",".join(
                f"{scheme}://127.0.0.1:{numbers[scheme]}{';prefer' * (name == 'first')}" for name, numbers in ports.items()
            )
            server = stack.enter_context(function_of(own, addresses, **NAP, **collector.env))
            clients.append(TracedRequests(server, scheme, pool))
        wait_for_both(clients)
        yield clients


def wait_for_both(clients: list[TracedRequests]) -> None:
    """Returns when each function has reached both agents."""
    until(lambda: all(client.states() == ["ready"] * 2 for client in clients))


class CollectedTrace:
    """The spans of one trace: the request's, those of its tries in order, and those that agents have for them.

    ``ports``: each agent's service and port.
    """

    def __init__(self, collector: Collector, trace: str, ports: dict[str, int]) -> None:
        spans = {name: [span for span in found if span.trace_id.hex() == trace] for name, found in collector.spans.items()}
        (self.request,) = spans["function: POST /classify"]
        self.tries = sorted(spans[f"function: {RUN}"], key=lambda span: span.start_time_unix_nano)
        self.attributes = [values(span.attributes) for span in self.tries]
        self._ports = ports
        self._at_agents = [(service, span) for service in ports for span in spans.get(f"{service}: {RUN}", [])]

    def check(self) -> None:
        """The tries are children of the request, and what an agent did is beneath its own try."""
        assert {span.parent_span_id for span in self.tries} == {self.request.span_id}
        for attributes in self.attributes:
            assert attributes.get("error.type", "OK") == attributes["rpc.response.status_code"]
            assert ("vaccel.retry" in attributes) == ("vaccel.retry_reason" in attributes)
        ports = {span.span_id: attributes["server.port"] for span, attributes in zip(self.tries, self.attributes, strict=True)}
        for service, span in self._at_agents:
            assert ports[span.parent_span_id] == self._ports[service]

    def check_order(self) -> None:
        """The tries of the only run follow one another within the request."""
        end = self.request.start_time_unix_nano
        for number, (span, attributes) in enumerate(zip(self.tries, self.attributes, strict=True)):
            assert end <= span.start_time_unix_nano <= span.end_time_unix_nano
            end = span.end_time_unix_nano
            assert attributes.get("vaccel.retry", 0) == number
        assert end <= self.request.end_time_unix_nano

    def beneath(self, number: int) -> list[tuple[str, str]]:
        """Service and status of the agents' spans beneath a try."""
        parent = self.tries[number].span_id
        return [
            (service, values(span.attributes)["rpc.response.status_code"])
            for service, span in self._at_agents
            if span.parent_span_id == parent
        ]

    @property
    def story(self) -> list[tuple[Any, ...]]:
        """Of each try: the agent's port, the status, and why it was made."""
        names = ("server.port", "rpc.response.status_code", "vaccel.retry_reason")
        return [tuple(attributes.get(name) for name in names) for attributes in self.attributes]


@pytest.mark.timeout(180)
def test_a_trace_shows_every_try(collector: Collector, spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """The first agent freezes, is told to end, is killed and has no room; each time the second one answers. Over ttrpc and gRPC.

    A client that goes meanwhile leaves no span open.
    """
    numbers = iter(free_ports(4))
    ports = {name: {scheme: next(numbers) for scheme in SCHEMES} for name in ("first", "second")}

    def agent(name: str, *options: str) -> ServerProcess:
        listen = [word for scheme, port in ports[name].items() for word in ("-a", f"{scheme}://127.0.0.1:{port}")]
        env = {**collector.env, "OTEL_SERVICE_NAME": name}
        return spawn_agent(*listen, *napping(tmp_path), *options, env=env)

    def has_unread() -> bool:
        return all(unread(port) for port in ports["first"].values())

    first, second = agent("first"), agent("second")
    with functions(tmp_path, collector, ports) as clients:
        with frozen(first):
            answers = [client.send("frozen") for client in clients]
            with contextlib.ExitStack() as gone:
                for client in clients:
                    gone.enter_context(client.send_and_go("gone"))
                until(has_unread)
            assert all(answer.result().ok for answer in answers)
        wait_for_both(clients)
        with frozen(first):
            answers = [client.send("ending") for client in clients]
            until(has_unread)
            os.kill(first.process.pid, signal.SIGTERM)
        assert all(answer.result().ok for answer in answers)
        assert first.process.wait(20) == 0
        first = agent("first")
        wait_for_both(clients)
        os.kill(first.process.pid, signal.SIGSTOP)
        answers = [client.send("killed") for client in clients]
        until(has_unread)
        first.stop(signal.SIGKILL)
        assert all(answer.result().ok for answer in answers)
        first = agent("first", "--max-queue", "1", "--max-batch", "1")
        wait_for_both(clients)
        for client in clients:
            assert client.send("full", MANY).result().ok
    assert first.stop() == 0
    assert second.stop() == 0

    for scheme in SCHEMES:
        own = {name: numbers[scheme] for name, numbers in ports.items()}
        traces = {step: CollectedTrace(collector, trace_id(scheme, step), own) for step in STEPS}
        for step, trace in traces.items():
            trace.check()
            if step != "full":
                trace.check_order()
                last = "first" if trace.story[-1][0] == own["first"] else "second"
                assert trace.beneath(-1) == [(last, "OK")]
        lost, answered = (own["first"], "UNAVAILABLE", None), (own["second"], "OK")
        assert traces["frozen"].story == [lost, (*answered, "UNAVAILABLE: the agent does not answer")]
        assert traces["gone"].story == traces["frozen"].story
        # It answers what it took before it was told.
        ends = [lost, (*answered, "UNAVAILABLE: the agent is shutting down")]
        assert traces["ending"].story in (ends, [(own["first"], "OK", None)])
        # The rest is the system's or grpcio's word for it.
        assert [(*each, str(reason).partition(":")[0]) for *each, reason in traces["killed"].story] == [
            (*lost[:2], "None"), (*answered, "UNAVAILABLE")
        ]  # fmt: skip
        check_full(traces["full"])


def check_full(trace: CollectedTrace) -> None:
    """Those runs are sent again, to the other agent, which the first one has refused."""
    refused = [number for number, (_, status, _) in enumerate(trace.story) if status == "RESOURCE_EXHAUSTED"]
    again = [number for number, (_, _, reason) in enumerate(trace.story) if reason]
    assert len(refused) == len(again) == len(trace.story) - TEXTS > 0
    assert all(trace.beneath(number) == [("first", "RESOURCE_EXHAUSTED")] for number in refused)
    assert all(trace.beneath(number) == [("second", "OK")] for number in again)
    assert {trace.attributes[number]["vaccel.retry"] for number in again} == {1}
    assert all(trace.story[number][2].startswith("RESOURCE_EXHAUSTED: ") for number in again)
