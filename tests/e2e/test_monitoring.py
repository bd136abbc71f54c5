"""Metrics, rules and dashboard, as Prometheus' own tools and a real Prometheus see them."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import requests
import yaml

from loadkit.processes import free_port
from tests.support.functions import post, start, wait_until_ready
from tests.support.objects import closed
from tests.support.optional import needs_program, shared
from tests.support.paths import ROOT
from tests.support.servers import ServerProcess

MONITORING = ROOT / "knative/monitoring"
pytestmark = [pytest.mark.e2e, needs_program("promtool", "prometheus")]


@pytest.fixture(scope="module")
def targets(agent: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Addresses (host:port) of the metrics of an agent and a function that have worked a little."""
    server = start(tmp_path_factory.mktemp("watched"), agent.addresses["unix"])
    wait_until_ready(server)
    for body in ({"text": "good morning"}, {"texts": ["tea", "see you"]}, {"text": ""}):
        post(server, body)
    yield {
        "vaccel-agent": agent.wait_for(r"Metrics and health on 'http://([^']+)'")[1],
        "function": server.addresses["http"].removeprefix("http://"),
    }
    assert server.stop() == 0


def exposition(target: str) -> str:
    return requests.get(f"http://{target}/metrics", timeout=10).text


@pytest.mark.parametrize("job", ["vaccel-agent", "function"])
def test_the_metrics_are_clean(targets: dict[str, str], job: str) -> None:
    """promtool finds nothing to improve."""
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=exposition(targets[job]), capture_output=True, text=True, check=False
    )
    # The client library's own gauges of the interpreter are not ours to name.
    ours = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith(("python_", "process_"))]
    assert ours == []


def test_the_rules_hold() -> None:
    """Each alert fires where it should and nowhere else."""
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "rules.test.yaml"]):
        done = subprocess.run(["promtool", *command], cwd=MONITORING, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_operators_object_is_the_same() -> None:
    """The operator's object has the same groups, and its own schema takes it."""
    manifest = yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text())
    assert manifest["spec"] == yaml.safe_load((MONITORING / "rules.yaml").read_text())
    version = yaml.safe_load(shared("schemas/prometheus-operator-prometheusrules.yaml").read_text())["spec"]["versions"][0]
    assert manifest["apiVersion"].endswith(version["name"])
    jsonschema.Draft7Validator(closed(version["schema"]["openAPIV3Schema"])).validate(manifest)


def test_every_metric_that_is_looked_at_exists(targets: dict[str, str]) -> None:
    """Dashboard and rules name no metric that neither the agent nor the function has."""
    exposed = set(
        re.findall(r"^# TYPE (\S+)", exposition(targets["vaccel-agent"]) + exposition(targets["function"]), re.MULTILINE)
    )
    used = (MONITORING / "dashboard.json").read_text() + (MONITORING / "rules.yaml").read_text()
    for name in set(re.findall(r"\b(?:vaccel|function)_[a-z_]+\b", used)):
        assert name in exposed or re.sub(r"_(bucket|sum|count)$", "", name) in exposed, name


def test_the_dashboard_is_whole() -> None:
    """Panels have ids of their own, do not overlap, and ask the data source that is chosen."""
    board = json.loads((MONITORING / "dashboard.json").read_text())
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    places = [
        (p["gridPos"]["x"] + dx, p["gridPos"]["y"] + dy)
        for p in board["panels"]
        for dx in range(p["gridPos"]["w"])
        for dy in range(p["gridPos"]["h"])
    ]
    assert len(set(places)) == len(places)
    assert {t["datasource"]["uid"] for p in board["panels"] for t in p.get("targets", [])} == {"${datasource}"}


def test_a_real_prometheus_scrapes_both(targets: dict[str, str], tmp_path: Path) -> None:
    """Both targets are up, their series can be queried, and the rules are loaded."""
    port = free_port()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(MONITORING / "rules.yaml")],
        "scrape_configs": [{"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()],
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    options = [
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (tmp_path / "log").open("wb") as log:
        prometheus = subprocess.Popen(["prometheus", *options], stdout=log, stderr=log)
    try:
        base = f"http://127.0.0.1:{port}/api/v1"
        assert found(base, "count(up == 1)") == 2
        assert found(base, 'sum(function_requests_total{route="/classify",code="200"})') == 2
        assert found(base, 'sum(vaccel_rpc_requests_total{method="TorchModelRun",code="OK"})') >= 3
        assert found(base, "count(function_start_phase_seconds)") >= 4
        groups = requests.get(f"{base}/rules", timeout=5).json()["data"]["groups"]
        assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
        assert len(groups) == 2
    finally:
        prometheus.terminate()
        prometheus.wait(20)


def found(base: str, query: str) -> float:
    """The value of a query, as soon as it has the one that both scrapes give."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            result = requests.get(f"{base}/query", params={"query": query}, timeout=5).json()["data"]["result"]
        except (requests.ConnectionError, KeyError, ValueError):
            result = []
        if result and float(result[0]["value"][1]) >= 2:
            return float(result[0]["value"][1])
        time.sleep(0.3)
    raise AssertionError(f"{query} has no value")
