"""Agents and functions as a played cluster shows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.clusterkinds import ready, stamp
from tests.support.fakecluster import FakeCluster

#: The digest of the model that every played agent has, what its metrics say, and its log.
DIGEST = "ab" * 32
METRICS = f"""# TYPE vaccel_model_loads_total counter
vaccel_model_loads_total{{model="tweets"}} 1.0
# TYPE vaccel_model_loaded gauge
vaccel_model_loaded{{model="tweets",sha256="{DIGEST}"}} 1
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.7e+09
# TYPE vaccel_agent_info gauge
vaccel_agent_info{{version="0.1.0",pid="1"}} 1
"""
LOG = f"[2026-01-01T00:00:00Z INFO  agent.store] Loaded model tweets (sha256:{DIGEST}) in 1.2 s\n"


def add_agent(
    cluster: FakeCluster, name: str, node: str, metrics: tuple[int, str] | None = (200, METRICS), **container: Any
) -> dict[str, Any]:
    """An agent's pod that runs since two hours."""
    status = {
        "name": "vaccel-agent",
        "containerID": f"containerd://{name}",
        "restartCount": 0,
        "ready": True,
        "state": {"running": {}},
    }
    spec = {"name": "vaccel-agent", "image": "r.example/agent:1", "ports": [{"name": "metrics", "containerPort": 9090}]}
    pod = cluster.add(
        "v1", "Pod", name, created=7200, labels={"app.kubernetes.io/name": "vaccel-agent"}, spec={"nodeName": node, "containers": [spec]},
        status={"phase": "Running", "conditions": [ready()], "containerStatuses": [{**status, **container}]},
    )  # fmt: skip
    if metrics:
        cluster.proxied[name, "/metrics"] = metrics
    return pod


def add_function(cluster: FakeCluster) -> None:
    """Two revisions: one has a pod that was ready after three seconds, the other none."""
    cluster.add("serving.knative.dev/v1", "Service", "vaccel-function", spec={}, status={})
    cluster.statuses["Service/vaccel-function"] = {
        "url": "http://f.example.com", "latestReadyRevisionName": "f-00002", "conditions": [ready()],
        "traffic": [{"revisionName": "f-00001", "percent": 90}, {"revisionName": "f-00002", "percent": 10, "tag": "next"}],
    }  # fmt: skip
    for number in (1, 2):
        name = f"f-0000{number}"
        cluster.add("serving.knative.dev/v1", "Revision", name, created=600 - number, labels={"serving.knative.dev/service": "vaccel-function"},
                    status={"conditions": [ready()]})  # fmt: skip
        cluster.add(
            "autoscaling.internal.knative.dev/v1alpha1",
            "PodAutoscaler",
            name,
            status={"desiredScale": 3 - number, "actualScale": 2 - number},
        )
    when = datetime.now(UTC) - timedelta(seconds=60)
    pod = cluster.add("v1", "Pod", "f-00001-x", labels={"serving.knative.dev/service": "vaccel-function", "serving.knative.dev/revision": "f-00001"},
                      spec={"containers": []}, status={"conditions": [ready(when)]})  # fmt: skip
    pod["metadata"]["creationTimestamp"] = stamp(when - timedelta(seconds=3))
