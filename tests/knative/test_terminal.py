"""``python -m knative`` on a terminal: tables, progress, a question before deleting."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.clustercommand import quickly
from tests.support.clusterobjects import add_agent, add_function
from tests.support.fakecluster import FakeCluster
from tests.support.terminal import on_terminal


def knative(config: Path, *arguments: str, types: str = "") -> tuple[int, str]:
    """Exit code and all that a terminal was sent."""
    env = {"KUBECONFIG": str(config), "TERM": "xterm-256color", "COLUMNS": "160"}
    return on_terminal([sys.executable, "-m", "knative", *arguments], env, types)


def test_tables(cluster: FakeCluster, config: Path) -> None:
    """A terminal gets what a pipe gets, and what a pod says cannot move the cursor."""
    pod = add_agent(cluster, "a-1", "node1")
    pod["spec"]["containers"][0]["image"] = "evil\x1b[2J"
    add_function(cluster)
    code, text = knative(config, "status")
    assert code == 0, text
    assert "\x1b" not in text
    assert text.replace("\r\n", "\n") == quickly("status", kubeconfig=config).stdout
    assert "evil [2J" in text


def test_progress_and_its_end(cluster: FakeCluster, config: Path) -> None:
    """Progress and the line at the end give the reasons."""
    cluster.statuses["DaemonSet/vaccel-agent"] = {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberReady": 1}
    cluster.event("vaccel-agent", "FailedCreate", "violates PodSecurity")
    code, text = knative(config, "deploy", "agent", "--poll-s", "0.05", "--timeout", "1")
    assert code == 1
    assert "1 of 2 ready" in text
    assert text.count("admission: violates PodSecurity") >= 2


def test_it_asks_before_it_deletes(cluster: FakeCluster, config: Path) -> None:
    """Nothing is deleted unless the answer is yes."""
    assert quickly("deploy", "agent", "--no-wait", kubeconfig=config).returncode == 0
    code, text = knative(config, "undeploy", "agent", types="n\n")
    assert code == 1
    assert "knative: nothing was deleted" in text
    assert "daemonsets/vaccel-agent" in cluster.names()
    code, text = knative(config, "undeploy", "agent", "--poll-s", "0.05", types="y\n")
    assert code == 0, text
    assert "daemonsets/vaccel-agent" not in cluster.names()
