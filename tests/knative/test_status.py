"""``python -m knative status``: agents with their models, functions with their revisions."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from knative.look.agents import LoadedModel, of_log, of_metrics
from knative.look.status import age
from tests.support.clustercommand import knative, quickly
from tests.support.clusterobjects import DIGEST, LOG, METRICS, add_agent, add_function
from tests.support.fakecluster import FakeCluster
from tests.support.paths import MODELS
from tests.support.servers import ServerProcess

Json = dict[str, Any]


def test_the_whole_picture(cluster: FakeCluster, config: Path) -> None:
    """As a document and as tables; an agent whose metrics are refused tells by its log, another not at all."""
    add_agent(cluster, "a-1", "node1")
    add_agent(cluster, "a-2", "node2", None, restartCount=2)
    cluster.logs["a-2", "vaccel-agent", False] = LOG + LOG
    add_function(cluster)
    done = knative("status", "--json", kubeconfig=config)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    first, second = report["agents"]
    assert first["models"] == [{"name": "tweets", "sha256": f"sha256:{DIGEST}", "loads": 1}]
    assert (first["node"], first["warm"], first["source"], first["version"], first["note"]) == (
        "node1",
        True,
        "metrics",
        "0.1.0",
        None,
    )
    assert 7200 <= first["age_s"] < 7300
    assert (second["models"][0]["loads"], second["source"], second["restarts"]) == (2, "log", 2)
    assert "metrics not read" in second["note"]
    (function,) = report["functions"]
    assert (function["url"], function["ready"], function["latest"]) == ("http://f.example.com", True, "f-00002")
    assert function["traffic"][1] == {"revision": "f-00002", "percent": 10, "tag": "next"}
    newest, older = function["revisions"]
    assert (newest["name"], newest["desired"], newest["actual"], newest["last_cold_start"]) == ("f-00002", 1, 0, None)
    assert (older["percent"], older["desired"], older["actual"]) == (90, 2, 1)
    assert (older["last_cold_start"]["seconds"], older["last_cold_start"]["pod"]) == (3.0, "f-00001-x")
    plain = knative("status", kubeconfig=config).stdout
    assert "node1   a-1     yes     0          2h    yes    tweets (1)" in plain
    assert "90 % f-00001, 10 % f-00002 (next)" in plain
    assert "f-00001    yes     90 %      1 (2)             3 s, 1m ago" in plain
    assert "\x1b" not in plain


def test_with_few_rights(cluster: FakeCluster, config: Path) -> None:
    """What may not be read is reported as unknown; without access to the autoscaler, pods are counted."""
    add_agent(cluster, "a-1", "node1")
    add_agent(cluster, "a-2", "node2", state={"waiting": {"reason": "CrashLoopBackOff"}})
    add_function(cluster)
    cluster.denied = {("get", "pods/proxy"), ("get", "pods/log"), ("list", "podautoscalers.autoscaling.internal.knative.dev")}
    report = json.loads(quickly("status", "--json", kubeconfig=config).stdout)
    assert [(agent["warm"], agent["models"]) for agent in report["agents"]] == [(None, None)] * 2
    for right in ("get pods/proxy", "get pods/log", "list podautoscalers.autoscaling.internal.knative.dev"):
        assert any(f"needs the right to {right} in namespace" in note for note in report["notes"]), report["notes"]
    older = report["functions"][0]["revisions"][1]
    assert (older["desired"], older["actual"]) == (None, 1)
    assert "unknown" in quickly("status", kubeconfig=config).stdout


@pytest.mark.parametrize(
    ("desired", "actual", "shown"), [(-1, 0, "0 (unknown)"), (0, -1, "1 (0)"), (-1, -1, "1 (unknown)"), (-1, None, "1 (unknown)")]
)
def test_an_unknown_scale(cluster: FakeCluster, config: Path, desired: int, actual: int | None, shown: str) -> None:
    """A PodAutoscaler's -1 is no number of pods: what it wants is unknown then, and ready pods are counted."""
    add_function(cluster)
    (scaler,) = (stored for stored in cluster.objects.values() if stored["kind"] == "PodAutoscaler" and "f-00001" in str(stored))
    scaler["status"] = {"desiredScale": desired} | ({} if actual is None else {"actualScale": actual})
    plain = quickly("status", kubeconfig=config).stdout
    assert f"f-00001    yes     90 %      {shown} " in plain
    assert "-1" not in plain
    report = json.loads(quickly("status", "--json", kubeconfig=config).stdout)
    assert report["functions"][0]["revisions"][1]["desired"] == (None if desired < 0 else desired)


def test_nodes_that_an_autoscaler_may_take(cluster: FakeCluster, config: Path) -> None:
    """A pool's nodes under a DaemonSet's agents are named, but for those that are kept; a Deployment's agents hold theirs."""
    pools = {"node1": "gpu", "node2": "gpu", "node3": "", "node4": "gpu", "node5": "spot"}
    for number, (name, pool) in enumerate(pools.items(), 1):
        node = cluster.add("v1", "Node", name, labels={"karpenter.sh/nodepool": pool} if pool else {})
        node["metadata"]["annotations"] = {"karpenter.sh/do-not-disrupt": "true"} if name == "node4" else {}
        kind = "ReplicaSet" if name == "node5" else "DaemonSet"
        add_agent(cluster, f"a-{number}", name)["metadata"]["ownerReferences"] = [{"kind": kind, "name": "vaccel-agent"}]
    says = "the DaemonSet's agents on node1, node2 do not keep their nodes: if the node pool gpu scales"
    done = quickly("status", kubeconfig=config)
    assert says in done.stderr
    assert "spot" not in done.stderr
    assert done.stderr.count("keep their nodes") == 1
    cluster.denied = {("get", "nodes")}
    assert quickly("status", kubeconfig=config).stderr == ""


def test_an_empty_namespace(config: Path) -> None:
    """The command says that nothing is deployed."""
    done = quickly("status", kubeconfig=config)
    assert (done.returncode, done.stdout) == (0, "")
    assert "no agents in namespace tweets" in done.stderr


def test_metrics_and_logs_are_read() -> None:
    """Without its models' metrics an agent is one that cannot say; garbage is no metrics; no model is no model."""
    assert of_metrics(METRICS).models == (LoadedModel("tweets", f"sha256:{DIGEST}", 1),)
    assert of_metrics("process_start_time_seconds 5\n").models is None
    assert of_metrics("<html>{{").models is None
    assert of_metrics("# TYPE vaccel_model_loaded gauge\nprocess_start_time_seconds 5\n").models == ()
    assert of_log("").models is None
    assert of_log(LOG * 3).models == (LoadedModel("tweets", f"sha256:{DIGEST}", 3),)


def test_a_real_agent_is_understood(agent: ServerProcess) -> None:
    """Its metrics and its log name the same model, loaded once."""
    address = agent.wait_for(r"Metrics and health on '(http://[^']+)'")[1]
    metrics, log = of_metrics(requests.get(f"{address}/metrics", timeout=10).text), of_log(agent.text)
    digest = (MODELS / "tweets.pt.sha256").read_text().split()[0]
    assert metrics.started
    assert metrics.version
    for facts in (metrics, log):
        assert facts.models is not None
        (tweets,) = (model for model in facts.models if model.name == "tweets")
        assert tweets.loads == 1
        assert digest.startswith(tweets.sha256.removeprefix("sha256:"))


@pytest.mark.parametrize(("seconds", "text"), [(-5, "0s"), (59, "59s"), (60, "1m"), (7300, "2h"), (200_000, "2d")])
def test_ages(seconds: int, text: str) -> None:
    """Ages are written as kubectl writes them."""
    now = datetime.now(UTC)
    assert age(now - timedelta(seconds=seconds), now) == text
    assert age(None, now) == "unknown"
