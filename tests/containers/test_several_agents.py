"""Three agents and two functions as pods of one network: what the functions' clients see of an agent's end, upgrade or freeze,
which is nothing.

One function has the charts' addresses, over ttrpc; the other has the headless name alone, over gRPC. podman's DNS has a record for
each container that runs under a name, as a headless Service has for each agent that is ready.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import requests

from benchmarks.chaos.clients import ChaosClients, ChaosRequest
from loadkit.texts import TEXTS
from loadkit.threads import ClientThreads
from tests.containers.bench import AGENT, FUNCTION, Bench, Container, podman
from tests.containers.test_network import ALIASES, MANIFESTS, daemonset, pod_spec
from tests.containers.waiting import answers

pytestmark = [pytest.mark.containers, pytest.mark.timeout(300)]

#: A request's limit, and a client's pause: the machine is to have time left, or what is seen is its scheduler.
LIMIT_S, PAUSE_S = 5, 0.5
HEADLESS, LOCAL = "vaccel-agent-headless", "vaccel-agent-local"
#: The names of an agent on another node than the functions, and of the one on theirs.
OTHERS, OWN = (ALIASES[0], ALIASES[2]), ALIASES
#: What the charts name, and what is named on a node without an agent.
CHARTS, BARE = "charts", "bare"
#: What the log says of an agent that was told to end: it is left, or was lost where it had not answered on a busy machine.
ENDED = "(?:leaving|left|lost) the agent after"
PORTS = {CHARTS: "tcp://{}:8888", BARE: "grpc://{}:8889"}


def charts_address() -> str:
    """VACCEL_RPC_ADDRESS in the function's service.yaml."""
    found = re.search(r"name: VACCEL_RPC_ADDRESS\n +value: \"(.*)\"", (MANIFESTS / "service.yaml").read_text())
    assert found
    return found[1]


def grace() -> str:
    """The seconds that an agent's pod has between SIGTERM and SIGKILL."""
    return str(pod_spec()["terminationGracePeriodSeconds"])


@dataclass
class Pods:
    """The pods. ``agents``: those that run; the first is that of the functions' own node."""

    bench: Bench
    network: str
    agents: list[Container] = field(default_factory=list)
    functions: dict[str, Container] = field(default_factory=dict)

    def agent(self, aliases: tuple[str, ...]) -> Container:
        """Starts an agent as the DaemonSet does, with an address for gRPC."""
        options = (f"--network={self.network}", *aliases, "--entrypoint=vaccel-rpc-agent")
        arguments = (*daemonset()["args"], "-a", "grpc://0.0.0.0:8889", "--threads", "1")
        return self.bench.run(AGENT, *arguments, options=options)

    def function(self, addresses: str) -> Container:
        """Starts a function."""
        env = {"VACCEL_RPC_ADDRESS": addresses, "REQUEST_TIMEOUT_S": str(LIMIT_S), "AGENT_WAIT_S": str(LIMIT_S - 1)}
        return self.bench.run(FUNCTION, options=(f"--network={self.network}",), env=env)

    def reached(self, count: int) -> None:
        """Returns when each function has so many agents, all of them ready; one that two names lead to is one."""
        self._wait({"ready": count}, lambda states: dict(states))

    def missed(self) -> None:
        """Returns when each function has seen that one agent is gone, or does not answer."""
        self._wait(len(self.agents) - 1, lambda states: states["ready"])

    def _wait(self, wanted: object, of: Callable[[Counter[str]], object]) -> None:
        end = time.monotonic() + 60
        for function in self.functions.values():
            while (states := self.states(function)) and of(states) != wanted:
                assert time.monotonic() < end, f"{states}\n{told(function)}"
                time.sleep(0.1)

    @staticmethod
    def states(function: Container) -> Counter[str]:
        """How many agents the function has in each state."""
        about = requests.get(f"{url(function)}/", headers={"Accept": "application/json"}, timeout=5).json()
        return Counter(agent["state"] for agent in about["agents"])

    def said(self, what: dict[str, str]) -> None:
        """Each function's log has these words of the agents on these hosts."""
        for kind, function in self.functions.items():
            log = told(function)
            for host, words in what.items():
                assert re.search(rf"\] {re.escape(PORTS[kind].format(host))} \((?:{HEADLESS}|{LOCAL})\): {words}", log), (
                    what,
                    log,
                )

    def runs(self, kind: str, host: str, name: str = HEADLESS) -> float:
        """The runs that an agent has answered to a function over the link that a name has led to."""
        metrics = requests.get(f"{url(self.functions[kind])}/metrics", timeout=5).text
        link = re.escape(f"{PORTS[kind].format(host)} ({name})")
        found = re.search(rf'^function_agent_runs_total{{agent="{link}"}} (\S+)$', metrics, re.MULTILINE)
        return float(found[1]) if found else 0.0

    @contextlib.contextmanager
    def load(self) -> Iterator[None]:
        """Sixteen clients of each function: every request is answered in time, and rightly; both functions stay ready."""
        readiness: Counter[int] = Counter()
        places = {kind: (function.ip, 8080) for kind, function in self.functions.items()}
        probed = [f"http://{host}:{port}/health/readiness" for host, port in places.values()]
        clients = {kind: ChaosClients(place, 16, TEXTS, LIMIT_S, PAUSE_S) for kind, place in places.items()}
        for ours in clients.values():
            ours.learn()
        with contextlib.ExitStack() as stack:
            stack.enter_context(ClientThreads(len(probed), lambda number, end: probe(probed[number], readiness, end)))
            for ours in clients.values():
                stack.enter_context(ours)
            yield
        assert set(readiness) == {200}, readiness
        for kind, ours in clients.items():
            faults = [fault(done) for done in ours.done if done.status != 200 or done.wrong]
            assert not faults, f"{kind}, {len(faults)} of {len(ours.done)}: {faults[:9]}\n{told(self.functions[kind])}"
            assert len(ours.done) > 100


def fault(done: ChaosRequest) -> str:
    """What was wrong, and when it was sent in the log's terms."""
    sent = time.strftime("%H:%M:%S", time.gmtime(time.time() - time.monotonic() + done.began))
    return f"{sent} + {done.seconds:.1f} s: {done.status} {done.wrong}"


def probe(place: str, codes: Counter[int], end: threading.Event) -> None:
    """Asks as a kubelet does, but five times a second."""
    while not end.wait(0.2):
        codes[requests.get(place, timeout=5).status_code] += 1


def told(function: Container) -> str:
    """The lines in its log that are no request's."""
    return "".join(line for line in function.log.splitlines(keepends=True) if " function.access]" not in line)


def url(function: Container) -> str:
    return f"http://{function.ip}:8080"


@pytest.fixture(scope="module")
def pods(shared: Bench) -> Pods:
    """Two functions that have reached three agents."""
    pods = Pods(shared, shared.network())
    pods.agents = [pods.agent(names) for names in (OWN, OTHERS, OTHERS)]
    pods.functions[CHARTS] = pods.function(charts_address())
    pods.functions[BARE] = pods.function(PORTS[BARE].format(HEADLESS))
    for agent in pods.agents:
        agent.wait_for("agent ready")
    for function in pods.functions.values():
        answers(f"{url(function)}/health/readiness", seconds=60)
    pods.reached(3)
    return pods


def test_an_agent_is_killed_and_started_again(pods: Pods) -> None:
    """SIGKILL, as for want of memory, to the agent of the own node, on which one of the functions has all its work."""
    agent = pods.agents[0]
    with pods.load():
        host = agent.ip
        agent.signal("KILL")
        assert agent.wait(10) == 137
        pods.missed()
        podman("start", agent.name)
        pods.reached(3)
    pods.said({host: "lost the agent after", agent.ip: "the agent speaks"})


def test_an_agent_is_told_to_end_and_started_again(pods: Pods) -> None:
    """SIGTERM, with the chart's grace: it ends with 0 before that is over."""
    agent = pods.agents[0]
    with pods.load():
        host = agent.ip
        podman("stop", "-t", grace(), agent.name)
        assert agent.state["ExitCode"] == 0, agent.log
        podman("start", agent.name)
        pods.reached(3)
    assert re.search(r"Shutting down: \d+ clients told", agent.log)
    pods.said({host: ENDED, agent.ip: "the agent speaks"})


def test_a_rolling_restart(pods: Pods) -> None:
    """As the DaemonSet's: a new pod comes under the names of each and is reached; then the old one is told to end. The new ones
    have the work.
    """
    with pods.load():
        for number, names in enumerate((OWN, OTHERS, OTHERS)):
            old, new = pods.agents[number], pods.agent(names)
            pods.reached(4)
            host = old.ip
            podman("stop", "-t", grace(), old.name)
            assert old.state["ExitCode"] == 0, old.log
            pods.reached(3)
            pods.said({host: ENDED, new.ip: "the agent speaks"})
            pods.bench.remove(old)
            pods.agents[number] = new
        hosts = [agent.ip for agent in pods.agents]
        end = time.monotonic() + 10
        while not (all(pods.runs(BARE, host) for host in hosts) and pods.runs(CHARTS, hosts[0], LOCAL)):
            assert time.monotonic() < end, [pods.runs(BARE, host) for host in hosts]
            time.sleep(0.1)


def test_an_agent_is_frozen(pods: Pods) -> None:
    """The agent of the own node stands still for longer than a request may take, its connections open."""
    agent = pods.agents[0]
    with pods.load():
        podman("pause", agent.name)
        try:
            time.sleep(12)
            pods.missed()
        finally:
            podman("unpause", agent.name)
        pods.reached(3)
    pods.said({agent.ip: "does not answer for"})
