"""KEDA's queries for the agents, as Prometheus' own evaluator answers them: when an agent is started, and when it is idle."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from loadkit.processes import free_port
from scripts import charts
from tests.support.functions import post, start
from tests.support.optional import needs_program
from tests.support.paths import shipped_store
from tests.support.servers import SpawnAgent

pytest.importorskip("helm_python", reason="needs the dependency group 'charts': make charts")
pytestmark = [pytest.mark.e2e, needs_program("promtool", "prometheus")]

FUNCTION = '{namespace="default", pod="f-1"}'
READY = '{namespace="default", pod="f-1", state="ready"}'
AGENT = '{namespace="default", pod="vaccel-agent-5-x"}'
#: What Prometheus has scraped, one sample a minute; a trigger; what it says after ten minutes.
CASES: dict[str, tuple[dict[str, str], str, float | None]] = {
    "no agent and no request": ({}, "waiting", 0),
    "a function waits": ({f"function_requests_waiting_for_agent{FUNCTION}": "0x9 3"}, "waiting", 3),
    "a function waited a moment ago": ({f"function_requests_waiting_for_agent{FUNCTION}": "0x8 2 0"}, "waiting", 2),
    "a function waited before": ({f"function_requests_waiting_for_agent{FUNCTION}": "0x3 2 0x9"}, "waiting", 0),
    "another namespace's function waits": (
        {'function_requests_waiting_for_agent{namespace="x", pod="f-1"}': "0x9 3"}, "waiting", 0,
    ),
    # The test's clock begins at 0: this function started after 570 s.
    "a request has just started a function": (
        {f"function_agents{READY}": "_x9 0", f"process_start_time_seconds{FUNCTION}": "_x9 570"}, "waiting", 1,
    ),
    "a function that is kept has no agent": (
        {f"function_agents{READY}": "0x10", f"process_start_time_seconds{FUNCTION}": "10x10"}, "waiting", 0,
    ),
    "a function that has just started has its agent": (
        {f"function_agents{READY}": "_x9 1", f"process_start_time_seconds{FUNCTION}": "_x9 570"}, "waiting", 0,
    ),
    "agents queue and run": (
        {
            f"vaccel_queue_requests{AGENT}": "5x10", f"vaccel_running_requests{AGENT}": "7x10",
            'vaccel_queue_requests{namespace="default", pod="vaccel-agent-5-y"}': "1x10",
            'vaccel_running_requests{namespace="default", pod="vaccel-agent-5-y"}': "2x10",
            'vaccel_queue_requests{namespace="other", pod="vaccel-agent-5-y"}': "9x10",
        },
        "load", 15,
    ),
    "no agent has no load": ({}, "load", None),
    "a warm-up is no work": ({f"vaccel_batches_total{AGENT}": "_x7 3x3"}, "batches", 0),
    "requests pass between two scrapes": ({f"vaccel_batches_total{AGENT}": "3x8 4 5"}, "batches", 2),
    "the last request was long ago": ({f"vaccel_batches_total{AGENT}": "3 9x10"}, "batches", 0),
}  # fmt: skip


@cache
def triggers() -> dict[str, str]:
    """The queries of the ScaledObject, by trigger."""
    values = {"kind": "Deployment", "autoscaling": {"type": "keda", "minReplicas": 0}}
    text = charts.render("vaccel-agent", values, name="vaccel-agent")["autoscaling.yaml"]
    return {trigger["name"]: trigger["metadata"]["query"] for trigger in yaml.safe_load(text)["spec"]["triggers"]}


def test_the_queries_see_what_they_are_for(tmp_path: Path) -> None:
    """Each case of CASES, by `promtool test rules`."""
    queries = triggers()
    tests: list[dict[str, Any]] = []
    for name, (series, trigger, value) in CASES.items():
        samples = [] if value is None else [{"labels": "{}", "value": value}]
        inputs = [{"series": each, "values": values} for each, values in series.items()]
        expected = [{"expr": queries[trigger], "eval_time": "10m", "exp_samples": samples}]
        tests.append({"name": name, "interval": "1m", "input_series": inputs, "promql_expr_test": expected})
    (tmp_path / "rules.yaml").write_text("groups: []")
    (tmp_path / "test.yaml").write_text(json.dumps({"rule_files": ["rules.yaml"], "tests": tests}))
    done = subprocess.run(["promtool", "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass
class PlayedKeda:
    """Asks a Prometheus what KEDA asks it, for the ScaledObject that the chart renders."""

    url: str

    def active(self) -> set[str]:
        """The triggers that ask for an agent: those whose value is above 0, which nothing is not."""
        return {name for name, query in triggers().items() if self._value(query) > 0}

    def wait_for(self, trigger: str, seconds: float = 30) -> None:
        """Waits until this trigger asks for an agent."""
        self._wait(lambda active: trigger in active, trigger, seconds)

    def wait_until_idle(self, seconds: float = 60) -> None:
        """Waits until no trigger asks for an agent."""
        self._wait(lambda active: not active, "none", seconds)

    def _wait(self, reached: Callable[[set[str]], bool], wanted: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not reached(active := self.active()):
            assert time.monotonic() < end, f"{active} ask for an agent, and not {wanted}"
            time.sleep(0.2)

    def _value(self, query: str) -> float:
        # What KEDA looks back on is two minutes, in which this test does not want to wait.
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": query.replace("[2m]", "[10s]")}, timeout=5)
        result = answer.json()["data"]["result"]
        return float(result[0]["value"][1]) if result else 0


@pytest.fixture
def keda(tmp_path: Path) -> Iterator[Callable[[dict[str, str]], PlayedKeda]]:
    """Starts a Prometheus that scrapes every second what it is given: the name of a pod -> host:port."""
    started: list[subprocess.Popen[bytes]] = []

    def start_prometheus(pods: dict[str, str]) -> PlayedKeda:
        port = free_port()
        targets = [{"targets": [address], "labels": {"namespace": "default", "pod": pod}} for pod, address in pods.items()]
        config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [{"job_name": "pods", "static_configs": targets}]}
        (tmp_path / "prometheus.yml").write_text(json.dumps(config))
        options = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
        with (tmp_path / "prometheus.log").open("wb") as log:
            started.append(
                subprocess.Popen(["prometheus", *options, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
            )
        played = PlayedKeda(f"http://127.0.0.1:{port}")
        end = time.monotonic() + 30
        while True:
            try:
                if requests.get(f"{played.url}/-/ready", timeout=5).ok:
                    return played
            except requests.ConnectionError:
                pass
            assert time.monotonic() < end, (tmp_path / "prometheus.log").read_text()
            time.sleep(0.1)

    yield start_prometheus
    for process in started:
        process.terminate()
        process.wait(20)


def test_the_first_request_brings_an_agent_up(
    spawn_agent: SpawnAgent, keda: Callable[[dict[str, str]], PlayedKeda], tmp_path: Path
) -> None:
    """From zero: a waiting request is seen, an agent is started for it, and the request is answered; then all is idle again.

    The function waits long enough here; by default it answers 503 with Retry-After before a node is up.
    """
    rpc, metrics = free_port(), free_port()
    function = start(tmp_path, f"tcp://127.0.0.1:{rpc}", AGENT_WAIT_S="60", REQUEST_TIMEOUT_S="90")
    pods = {"f-1": function.addresses["http"].removeprefix("http://"), "vaccel-agent-1": f"127.0.0.1:{metrics}"}
    try:
        played = keda(pods)
        with ThreadPoolExecutor() as pool:
            began = time.monotonic()
            answer = pool.submit(post, function, {"text": "What a lovely day"})
            played.wait_for("waiting")
            seen = time.monotonic() - began
            spawn_agent(
                "-a", f"tcp://127.0.0.1:{rpc}", "--metrics-address", f"127.0.0.1:{metrics}", "--models", str(shipped_store()), "--preload", "tweets"
            )  # fmt: skip
            assert answer.result(60).status_code == 200
            print(f"seen after {seen:.1f} s, answered after {time.monotonic() - began:.1f} s")
        played.wait_until_idle()
        for _ in range(3):
            assert post(function, {"text": "tea"}).status_code == 200
        played.wait_for("batches")
        played.wait_until_idle()
    finally:
        assert function.stop() == 0
