"""KEDA's queries for the agents, as Prometheus' own evaluator answers them: when an agent is started, and when it is idle."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import charts
from tests.support.optional import needs_program

pytest.importorskip("helm_python", reason="needs the dependency group 'charts': make charts")
pytestmark = [pytest.mark.e2e, needs_program("promtool", "prometheus")]

FUNCTION = '{namespace="default", pod="f-1"}'
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
        {f"function_agents_reachable{FUNCTION}": "_x9 0", f"process_start_time_seconds{FUNCTION}": "_x9 570"}, "waiting", 1,
    ),
    "a function that is kept has no agent": (
        {f"function_agents_reachable{FUNCTION}": "0x10", f"process_start_time_seconds{FUNCTION}": "10x10"}, "waiting", 0,
    ),
    "a function that has just started has its agent": (
        {f"function_agents_reachable{FUNCTION}": "_x9 1", f"process_start_time_seconds{FUNCTION}": "_x9 570"}, "waiting", 0,
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
