"""Why something is not ready, as pods, events and conditions tell it; no cluster, no process."""

from __future__ import annotations

from typing import Any

import pytest

from knative.apply.states import complaints, state_of
from knative.apply.why import crashed, reasons

Json = dict[str, Any]


def pod(state: Json | None = None, *, conditions: list[Json] | None = None, phase: str = "Pending", **container: Any) -> Json:
    status: Json = {"phase": phase, "conditions": conditions or []}
    if state is not None:
        status["containerStatuses"] = [
            {"name": "c", "image": "x:1", "ready": False, "restartCount": 0, "state": state, **container}
        ]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}, "status": status}


def event(reason: str, message: str, when: str = "2026-01-01T00:00:00Z") -> Json:
    return {"metadata": {}, "reason": reason, "message": message, "lastTimestamp": when}


def waiting(reason: str, message: str = "") -> Json:
    return {"waiting": {"reason": reason, "message": message}}


UNSCHEDULED = [
    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: 3 Insufficient nvidia.com/gpu."}
]
OLD, NEW = (
    event("Unhealthy", "old", "2026-01-01T00:00:00Z"),
    event("Unhealthy", "Readiness probe failed: 503", "2026-01-02T00:00:00Z"),
)
PULL = event("Failed", 'Failed to pull image "x:1": 401 Unauthorized')
MOUNT = event("FailedMount", 'MountVolume.SetUp failed for volume "v": configmap "tweets" not found')


@pytest.mark.parametrize(
    ("manifest", "events", "expected"),
    [
        (pod(waiting("ErrImagePull", 'pull "x:1": not found')), [], ['image: p/c: ErrImagePull: pull "x:1": not found']),
        (pod(waiting("ImagePullBackOff", 'Back-off pulling image "x:1"')), [PULL],
         ['image: p/c: ImagePullBackOff: Failed to pull image "x:1": 401 Unauthorized']),
        (pod(waiting("ImagePullBackOff", 'Back-off pulling image "x:1": ErrImagePull: no such host')), [PULL],
         ['image: p/c: ImagePullBackOff: Back-off pulling image "x:1": ErrImagePull: no such host']),
        (pod(waiting("InvalidImageName")), [], ["image: p/c: InvalidImageName: x:1"]),
        (pod(conditions=UNSCHEDULED), [], ["scheduling: p: 0/3 nodes: 3 Insufficient nvidia.com/gpu."]),
        (pod(waiting("CreateContainerConfigError", 'secret "s" not found')), [],
         ['config: p/c: CreateContainerConfigError: secret "s" not found']),
        (pod(waiting("ContainerCreating")), [MOUNT], [f"config: p/c: {MOUNT['message']}"]),
        (pod(waiting("ContainerCreating")), [], ["starting: p/c: ContainerCreating"]),
        (pod({"running": {}}, started=True), [OLD, NEW], ["probe: p/c: Readiness probe failed: 503"]),
        (pod({"running": {}}, started=True), [], ["probe: p/c: its readiness probe has not passed yet"]),
        (pod({"running": {}}, started=False), [], ["probe: p/c: its startup probe has not passed yet"]),
        (pod(waiting("CrashLoopBackOff", "back-off"), restartCount=4, lastState={"terminated": {"exitCode": 1, "reason": "Error"}}), [],
         ["crash: p/c: exit code 1, 4 restarts"]),
        (pod({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, restartCount=1), [], ["crash: p/c: exit code 137 (OOMKilled), 1 restart"]),
        (pod(waiting("CrashLoopBackOff"), restartCount=2), [], ["crash: p/c: it keeps ending, 2 restarts"]),
        (pod(phase="Failed") | {"status": {"phase": "Failed", "reason": "Evicted", "message": "low on\nmemory"}}, [],
         ["crash: p: Evicted: low on memory"]),
        (pod(), [], ["starting: p: the pod is Pending"]),
        (pod(conditions=[{"type": "Ready", "status": "True"}]), [NEW], []),
    ],
)  # fmt: skip
def test_why_a_pod_is_not_ready(manifest: Json, events: list[Json], expected: list[str]) -> None:
    """The reason has its kind, its place, and the message of the most specific source."""
    assert [str(reason) for reason in reasons(manifest, events)] == expected


def test_the_container_that_others_wait_for_is_named() -> None:
    """A failing init container, not the one that has not begun; a pod that ends is not complained about."""
    manifest = pod(waiting("PodInitializing"))
    ended = {"exitCode": 2, "reason": "Error"}
    manifest["status"]["initContainerStatuses"] = [
        {
            "name": "copy",
            "ready": False,
            "restartCount": 1,
            "state": waiting("CrashLoopBackOff"),
            "lastState": {"terminated": ended},
        }
    ]
    assert [str(reason) for reason in reasons(manifest, [])] == ["crash: p/copy: exit code 2, 1 restart"]
    assert crashed(manifest) == [("copy", True)]
    manifest["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert reasons(manifest, []) == []


def made_of(kind: str, status: Json, spec: Json | None = None, api_version: str = "apps/v1") -> Json:
    template: Json = {"template": {"spec": {"nodeSelector": {"gpu": "yes"}}}}
    return {
        "apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "generation": 2}, "spec": template | (spec or {}),
        "status": {"observedGeneration": 2, **status},
    }  # fmt: skip


def knative(status: str, **more: Any) -> Json:
    return made_of("Service", {"conditions": [{"type": "Ready", "status": status, **more}]}, api_version="serving.knative.dev/v1")


@pytest.mark.parametrize(
    ("manifest", "ready", "progress"),
    [
        (made_of("DaemonSet", {"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberReady": 3}), True, "3 of 3 ready"),
        (made_of("DaemonSet", {"desiredNumberScheduled": 3, "updatedNumberScheduled": 1, "numberReady": 3}), False,
         "3 of 3 ready, 1 updated"),
        (made_of("DaemonSet", {"desiredNumberScheduled": 3, "numberReady": 3}, {"updateStrategy": {"type": "OnDelete"}}), True,
         "3 of 3 ready, 0 updated"),
        (made_of("DaemonSet", {"observedGeneration": 1, "numberReady": 3}), False, "not processed by its controller yet"),
        (made_of("Deployment", {"replicas": 3, "updatedReplicas": 2, "readyReplicas": 2}, {"replicas": 2}), False, "2 of 2 ready"),
        (made_of("Deployment", {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}, {"replicas": 2}), True, "2 of 2 ready"),
        (knative("True"), True, "its revision is ready"),
        (knative("Unknown"), False, "its revision is being started"),
        (knative("False"), False, "its revision is not ready"),
        (knative("True") | {"metadata": {"name": "x", "generation": 3}}, False, "not processed by Knative yet"),
    ],
)  # fmt: skip
def test_how_far_a_rollout_is(manifest: Json, ready: bool, progress: str) -> None:
    """Its controller has seen it, all of it is new, all of it is ready."""
    state = state_of(manifest)
    assert (state.ready, state.progress, state.hopeless) == (ready, progress, "")


def test_a_daemonset_without_a_node_is_hopeless() -> None:
    """It is not waited for, and the message says what a node would need."""
    state = state_of(made_of("DaemonSet", {"desiredNumberScheduled": 0}))
    assert not state.ready
    assert "no node has its nodeSelector gpu=yes" in state.hopeless


def test_knatives_conditions_are_said_once() -> None:
    """Ready repeats what another condition says; that no traffic comes is no complaint."""
    failed = {"status": "False", "reason": "ContainerMissing", "message": "no such image"}
    manifest = made_of("Revision", {"conditions": [
        {"type": "Active", "status": "False", "reason": "NoTraffic", "message": "not receiving traffic"},
        {"type": "ContainerHealthy", **failed}, {"type": "Ready", **failed},
        {"type": "ResourcesAvailable", "status": "Unknown", "reason": "Deploying"},
    ]}, api_version="serving.knative.dev/v1")  # fmt: skip
    assert [str(reason) for reason in complaints(manifest)] == ["knative: ContainerHealthy: ContainerMissing: no such image"]
    deployment = made_of(
        "Deployment", {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}]}
    )
    assert [str(reason) for reason in complaints(deployment)] == ["admission: violates PodSecurity"]
