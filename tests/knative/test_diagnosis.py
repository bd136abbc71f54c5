"""Why what ``python -m knative deploy`` has applied is not ready, in its last line and its document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from knative.apply.manifests import PARTS, load
from tests.support.clustercommand import knative, quickly
from tests.support.clusterkinds import NAMESPACE
from tests.support.fakecluster import FakeCluster

Json = dict[str, Any]
QUICK = ("--poll-s", "0.05", "--timeout", "0.3")


def starting(cluster: FakeCluster, name: str, status: Json, *, function: bool = False) -> None:
    """A pod of the agent or the function, as a node would report it."""
    spec = next(
        manifest
        for manifest in load([PARTS["function" if function else "agent"]])
        if manifest["kind"] in ("DaemonSet", "Service") and "template" in manifest["spec"]
    )
    labels = dict(spec["spec"]["template"]["metadata"]["labels"])
    labels |= (
        {"serving.knative.dev/service": "vaccel-function", "serving.knative.dev/revision": "vaccel-function-00001"}
        if function
        else {}
    )
    cluster.add("v1", "Pod", name, labels=labels, spec=spec["spec"]["template"]["spec"], status={"phase": "Pending", **status})


def container(state: Json, **more: Any) -> Json:
    return {
        "containerStatuses": [{"name": "vaccel-agent", "image": "a:1", "ready": False, "restartCount": 2, "state": state, **more}]
    }


UNREADY = {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberReady": 1}


def test_it_says_why_the_agents_are_not_ready(cluster: FakeCluster, config: Path) -> None:
    """Image, scheduling, crash with the last words: in one line, with what could not be read; and all of it in the document."""
    cluster.statuses["DaemonSet/vaccel-agent"] = UNREADY
    cluster.denied.add(("list", "events"))
    starting(cluster, "a-1", container({"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}))
    starting(
        cluster, "a-2", {"conditions": [{"type": "PodScheduled", "status": "False", "message": "untolerated taint {gpu: x}"}]}
    )
    starting(cluster, "a-3", container({"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": {"exitCode": 2}}))
    cluster.logs["a-3", "vaccel-agent", True] = "first\nvaccel-rpc-agent: no model\x1b[2J in /models\n"
    done = knative("deploy", "agent", "--json", *QUICK, kubeconfig=config)
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert error.startswith("knative: not ready after 0.3 s: daemonset.apps/vaccel-agent is not ready (1 of 2 ready): ")
    assert "image: a-1/vaccel-agent: ErrImagePull: manifest unknown" in error
    assert "scheduling: a-2: untolerated taint {gpu: x}" in error
    assert (
        "crash: a-3/vaccel-agent: exit code 2, 2 restarts; its log ends: first | vaccel-rpc-agent: no model [2J in /models"
        in error
    )
    assert f"it might explain more: needs the right to list events in namespace {NAMESPACE}" in done.stderr
    document = json.loads(done.stdout)
    assert (document["ready"], document["error"]) == (False, error.removeprefix("knative: "))
    assert {reason["kind"] for reason in document["rollouts"][0]["reasons"]} == {"image", "scheduling", "crash"}


def unready_function(cluster: FakeCluster, reason: str, message: str) -> None:
    """A function whose revision fails, with all the conditions that Knative then gives."""
    failed = {"status": "False", "reason": reason, "message": message}
    revision = [
        {"type": "Active", "status": "Unknown", "reason": "Deploying"},
        {"type": "Ready", **failed},
        {"type": "ResourcesAvailable", **failed},
    ]
    cluster.add("serving.knative.dev/v1", "Revision", "vaccel-function-00001", status={"conditions": revision})
    outer = {
        "status": "False",
        "reason": "RevisionFailed",
        "message": f'Revision "vaccel-function-00001" failed with message: {message}.',
    }
    missing = {"reason": "RevisionMissing", "message": 'Configuration "vaccel-function" does not have any ready Revision.'}
    cluster.statuses["Service/vaccel-function"] = {
        "latestCreatedRevisionName": "vaccel-function-00001",
        "conditions": [
            {"type": "ConfigurationsReady", **outer}, {"type": "Ready", **outer}, {"type": "RoutesReady", "status": "False", **missing},
        ],
    }  # fmt: skip


NOT_READY = "knative: not ready after 0.3 s: service.serving.knative.dev/vaccel-function is not ready (vaccel-function-00001 is not ready): "


def test_the_function_says_why_it_is_not_ready(cluster: FakeCluster, config: Path) -> None:
    """Its own words reach the user, though they come as 503 with Retry-After, and nothing that follows from them is added."""
    unready_function(cluster, "ProgressDeadlineExceeded", "Initial scale was never achieved")
    waiting = {"name": "queue-proxy", "ready": False, "state": {"running": {}}}
    starting(cluster, "f-1", {"containerStatuses": [waiting]}, function=True)
    cluster.event("f-1", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
    no_agent = "no agent: tcp://vaccel-agent:8888: Name or service not known"
    cluster.proxied["f-1", "/health/readiness"] = (503, json.dumps({"status": 503, "detail": no_agent}))
    done = knative("deploy", "function", *QUICK, kubeconfig=config)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"{NOT_READY}probe: f-1: the function says: {no_agent}"
    cluster.denied.add(("get", "pods/proxy"))
    done = quickly("deploy", "function", *QUICK, kubeconfig=config)
    event = "Readiness probe failed: HTTP probe failed with statuscode: 503"
    assert done.stderr.splitlines()[-1] == f"{NOT_READY}probe: f-1/queue-proxy: {event}"


@pytest.mark.parametrize(("state", "note"), [("failed", True), ("ready", False)])
def test_a_function_that_is_ready_without_an_agent(cluster: FakeCluster, config: Path, state: str, note: bool) -> None:
    """It is ready after a while all the same: that is a note with the function's own reason, and no failure."""
    starting(cluster, "f-1", {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}, function=True)
    agent = {"address": "tcp://vaccel-agent:8888", "state": state, "reason": "Connection refused" if note else None}
    cluster.proxied["f-1", "/"] = (200, json.dumps({"ready": True, "agents": [agent]}))
    done = quickly("deploy", "function", "--json", *QUICK, kubeconfig=config)
    assert done.returncode == 0, done.stderr
    says = "agent: f-1: ready, but no agent: tcp://vaccel-agent:8888: Connection refused"
    assert (f"service.serving.knative.dev/vaccel-function: {says}\n" in done.stderr) is note
    kinds = [reason["kind"] for reason in json.loads(done.stdout)["rollouts"][0]["reasons"]]
    assert kinds == (["agent"] if note else [])


FULL = "0/1 nodes are available: 1 Insufficient cpu"


def test_one_cause_is_said_once(cluster: FakeCluster, config: Path) -> None:
    """An image that cannot be pulled, as the pod has it; that there was no room for the pod is past, though the conditions still say so."""
    unready_function(cluster, "Unschedulable", FULL)
    pulling = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "f:2": ErrImagePull: f:2: not found'}}
    statuses = [
        {"name": "function", "image": "f:2", "ready": False, "restartCount": 0, "state": pulling},
        {"name": "queue-proxy", "ready": False, "restartCount": 0, "state": {"running": {}}},
    ]
    scheduled = {"type": "PodScheduled", "status": "True"}
    starting(cluster, "f-1", {"conditions": [scheduled], "containerStatuses": statuses}, function=True)
    starting(cluster, "f-2", {"conditions": [scheduled], "containerStatuses": statuses}, function=True)
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": FULL}
    starting(cluster, "f-3", {"conditions": [unscheduled]}, function=True)
    cluster.event("f-1", "FailedScheduling", FULL)
    cluster.event("f-1", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
    done = quickly("deploy", "function", "--json", *QUICK, kubeconfig=config)
    says = "image: f-1/function and 1 more pod: ImagePullBackOff: Back-off pulling image "
    assert done.stderr.splitlines()[-1] == f'{NOT_READY}{says}"f:2": ErrImagePull: f:2: not found'
    (reason,) = json.loads(done.stdout)["rollouts"][0]["reasons"]
    assert (reason["kind"], reason["pod"], reason["more_pods"]) == ("image", "f-1", 1)


@pytest.mark.parametrize(
    ("states", "says"),
    [
        ([], f"knative: ResourcesAvailable: Unschedulable: {FULL}"),
        ([{"conditions": [{"type": "PodScheduled", "status": "False", "message": FULL}]}], f"scheduling: f-0: {FULL}"),
        ([{"containerStatuses": [{"name": "function", "ready": False, "state": {"waiting": {"reason": "ContainerCreating"}}}]}],
         "starting: f-0/function: ContainerCreating"),
    ],
)  # fmt: skip
def test_a_pod_knows_better_than_conditions(cluster: FakeCluster, config: Path, states: list[Json], says: str) -> None:
    """Knative's conditions are shown while there is no pod."""
    unready_function(cluster, "Unschedulable", FULL)
    for number, state in enumerate(states):
        starting(cluster, f"f-{number}", state, function=True)
    done = quickly("deploy", "function", *QUICK, kubeconfig=config)
    assert done.stderr.splitlines()[-1] == f"{NOT_READY}{says}"


def test_pods_that_are_refused_and_nodes_that_are_missing(cluster: FakeCluster, config: Path) -> None:
    """Pod Security's words from the DaemonSet's events; no node at all is no matter of time."""
    cluster.statuses["DaemonSet/vaccel-agent"] = {**UNREADY, "numberReady": 0}
    cluster.event("vaccel-agent", "FailedCreate", 'pods "a" is forbidden: violates PodSecurity "restricted"')
    done = quickly("deploy", "agent", *QUICK, kubeconfig=config)
    assert 'admission: pods "a" is forbidden: violates PodSecurity "restricted"' in done.stderr.splitlines()[-1]
    cluster.statuses["DaemonSet/vaccel-agent"] = {"desiredNumberScheduled": 0}
    done = quickly("deploy", "agent", "--timeout", "90", kubeconfig=config)
    assert done.returncode == 1
    assert "no node has its nodeSelector kubernetes.io/os=linux" in done.stderr
