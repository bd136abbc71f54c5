"""Scale to zero without a cluster: 30 cold starts of the function beside as many of a hello-world, while the agent stays.

Reported on the terminal and in build/cold-start.json. Run nothing else meanwhile: the times are compared.
"""

from __future__ import annotations

import contextlib
import json
import re
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from tests.containers.activator import Activator
from tests.containers.bench import AGENT, FUNCTION, HELLO, Bench, Container, mib, podman
from tests.containers.waiting import answers
from tests.support.paths import ROOT

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]

ROUNDS = 30
#: Requests that arrive at the same moment and are held together.
_AT_ONCE = 3
#: Seconds that a cold start may take more than hello-world's, and the process until it listens; medians.
_OVER_HELLO_S, _LISTENING_S = 0.3, 0.4
_REPORT = ROOT / "build/cold-start.json"
_BODY = {"text": "What a lovely day for a walk in the park"}


@dataclass
class Measured:
    """Seconds of each round: the first request's whole time, podman's part of it, until the process listened; memory in MiB."""

    answered: list[float] = field(default_factory=list)
    runtime: list[float] = field(default_factory=list)
    listening: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    lost: int = 0

    def summary(self) -> dict[str, dict[str, float]]:
        """min, median, p90 and max of each."""
        return {
            name: {
                "min": min(values), "median": statistics.median(values),
                "p90": statistics.quantiles(values, n=10)[8], "max": max(values),
            }
            for name, values in vars(self).items()
            if isinstance(values, list) and len(values) > 1
        }  # fmt: skip


@pytest.fixture
def warm(bench: Bench) -> tuple[str, Container]:
    """A network with a warm agent on it, named vaccel-agent."""
    network = bench.network()
    options = (f"--network={network}", "--network-alias=vaccel-agent", "--entrypoint=vaccel-rpc-agent")
    arguments = ("-a", "tcp://0.0.0.0:8888", "--metrics-address", "0.0.0.0:9090")
    agent = bench.run(AGENT, *arguments, options=options)
    agent.wait_for("agent ready")
    return network, agent


@contextlib.contextmanager
def activated(
    bench: Bench, network: str, image: str, host: int, path: str, agent: str = "vaccel-agent", limit: float = 30
) -> Iterator[Activator]:
    """An activator for containers of the image at the network's address number ``host``."""
    (subnet,) = json.loads(podman("network", "inspect", network))[0]["subnets"]
    address = subnet["subnet"].rpartition(".")[0] + f".{host}"
    # The same hardware address each time too: else the agent answers the one before, and a second goes by until it is sent again.
    options = (f"--network={network}", f"--ip={address}", f"--mac-address=02:00:00:00:00:{host:02x}")

    def make() -> Container:
        return bench.run(image, options=options, env={"VACCEL_RPC_ADDRESS": f"tcp://{agent}:8888"})

    with Activator(make, bench.remove, address, path, limit=limit) as activator:
        yield activator


def ask(activator: Activator) -> tuple[bool, float]:
    """Whether one request got its right answer, and after how long."""
    began = time.perf_counter()
    answer = requests.post(f"{activator.url}/classify", json=_BODY, timeout=60)
    seconds = time.perf_counter() - began
    return answer.status_code == 200 and (answer.text.startswith("Hello") or answer.json()["label"] == "neither"), seconds


def cold_start(activator: Activator, measured: Measured) -> None:
    """One round: some requests at once, held until there is a container; then until there is none."""
    activator.wait_for_zero()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        done = [pool.submit(ask, activator) for _ in range(_AT_ONCE)]
        results = [future.result() for future in done]
    measured.lost += sum(not right for right, _ in results)
    with activator.held() as container:
        if container:
            measured.answered.append(max(seconds for _, seconds in results))
            measured.runtime.append(activator.starts[-1].runtime)
            _look(container, measured)


def _look(container: Container, measured: Measured) -> None:
    measured.memory.append(mib(container.state["Pid"]))
    phases = re.findall(r'^function_start_phase_seconds\{phase="\w+"\} (\S+)$', _metrics(container), re.MULTILINE)
    if phases:
        measured.listening.append(sum(map(float, phases)))


def _metrics(container: Container) -> str:
    return requests.get(f"http://{container.ip}:8080/metrics", timeout=10).text


def test_thirty_cold_starts(bench: Bench, warm: tuple[str, Container], capsys: pytest.CaptureFixture[str]) -> None:
    """No request is lost, the agent is the same process with the same model, and the function costs little more than hello-world."""
    network, agent = warm
    before, function, hello = agent.state, Measured(), Measured()
    with (
        activated(bench, network, FUNCTION, 201, "/health/readiness") as ours,
        activated(bench, network, HELLO, 202, "/") as theirs,
    ):
        for _ in range(ROUNDS):
            for activator, measured in ((ours, function), (theirs, hello)):
                # Neither starts while podman stops and removes the other, which takes a core.
                ours.wait_for_zero()
                theirs.wait_for_zero()
                cold_start(activator, measured)
    after = agent.state
    report: dict[str, Any] = {
        "rounds": ROUNDS,
        "requests": ROUNDS * _AT_ONCE,
        "lost": function.lost,
        "agent_mib": mib(after["Pid"]),
    }
    report |= {"function": function.summary(), "hello-world": hello.summary()}
    _REPORT.parent.mkdir(exist_ok=True)
    _REPORT.write_text(json.dumps(report, indent=1) + "\n")
    with capsys.disabled():
        print("\n" + "\n".join(table(report)))
    assert (function.lost, hello.lost, len(function.answered), len(hello.answered)) == (0, 0, ROUNDS, ROUNDS)
    assert (before["Pid"], before["StartedAt"]) == (after["Pid"], after["StartedAt"])
    loads = re.findall(
        r'^vaccel_model_loads_total\{model="(\w+)"\} (\S+)$', answers(f"http://{agent.ip}:9090/metrics").text, re.MULTILINE
    )
    assert loads == [("tweets", "1.0")]
    assert agent.log.count("Loaded model") == 1
    assert statistics.median(function.answered) - statistics.median(hello.answered) <= _OVER_HELLO_S
    assert statistics.median(function.listening) <= _LISTENING_S


def test_a_request_that_meets_the_end_is_answered(bench: Bench, warm: tuple[str, Container]) -> None:
    """It comes while the container is being stopped: it is held and another one started."""
    network, _ = warm
    with activated(bench, network, FUNCTION, 201, "/health/readiness") as activator:
        for _ in range(3):
            assert ask(activator)[0]
            assert activator.stopping.wait(10)
            assert ask(activator)[0]
        assert len(activator.starts) >= 4


def test_a_function_without_its_agent_is_a_lost_request(bench: Bench, warm: tuple[str, Container]) -> None:
    """The count of lost requests means something: without its agent the function never gets ready, and the round counts."""
    network, _ = warm
    measured = Measured()
    with activated(bench, network, FUNCTION, 201, "/health/readiness", agent="nobody", limit=2) as activator:
        cold_start(activator, measured)
    assert (measured.lost, measured.answered) == (_AT_ONCE, [])


def table(report: dict[str, Any]) -> Iterator[str]:
    """The report for a terminal."""
    yield f"{report['rounds']} cold starts each, {report['requests']} requests, {report['lost']} lost; the agent has {report['agent_mib']:.0f} MiB"
    yield f"{'seconds; memory in MiB':<34}{'min':>8}{'median':>8}{'p90':>8}{'max':>8}"
    for program in ("function", "hello-world"):
        for name, values in report[program].items():
            yield f"{f'{program}: {name}':<34}" + "".join(f"{values[key]:>8.3f}" for key in ("min", "median", "p90", "max"))
