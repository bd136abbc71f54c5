"""``python -m knative deploy`` and ``undeploy`` against a played API server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from knative.apply.manifests import PARTS, ManifestError, load
from knative.apply.overrides import Overrides, changed
from tests.support.clustercommand import knative, quickly
from tests.support.clusterkinds import NAMESPACE
from tests.support.fakecluster import FakeCluster
from tests.support.objects import schema_problems

Json = dict[str, Any]
QUICK, PATIENT = ("--poll-s", "0.05", "--timeout", "0.3"), ("--poll-s", "0.05", "--timeout", "60")
SHA = "sha256:" + "0" * 64


def results(text: str) -> dict[str, str]:
    return {entry["object"]: entry["result"] for entry in json.loads(text)["objects"]}


def test_deploying_twice_changes_nothing(cluster: FakeCluster, config: Path) -> None:
    """Created, then unchanged; then one override changes one object. All by server-side apply, strictly."""
    dry = knative("deploy", "--dry-run", kubeconfig=config)
    assert dry.returncode == 0, dry.stderr
    assert "created daemonset.apps/vaccel-agent (dry run)" in dry.stdout
    assert cluster.names() == {"namespaces/tweets", "deployments/controller"}
    first = knative("deploy", *PATIENT, kubeconfig=config)
    assert first.returncode == 0, first.stderr
    assert "created service.serving.knative.dev/vaccel-function\n" in first.stdout
    assert "ready daemonset.apps/vaccel-agent: 2 of 2 ready\n" in first.stdout
    again = knative("deploy", "--json", *PATIENT, kubeconfig=config)
    assert again.returncode == 0, again.stderr
    assert set(results(again.stdout).values()) == {"unchanged"}
    assert json.loads(again.stdout)["ready"] is True
    image = knative("deploy", "--json", "--image", "r.example/f:2", "--dry-run", kubeconfig=config)
    assert [name for name, result in results(image.stdout).items() if result != "unchanged"] == [
        "service.serving.knative.dev/vaccel-function"
    ]
    for _, _, query in (request for request in cluster.requests if request[0] == "PATCH"):
        assert (query["fieldManager"], query["fieldValidation"], query["force"]) == ("kubectl", "Strict", "true")
    (function,) = (stored for stored in cluster.objects.values() if stored["metadata"]["name"] == "vaccel-function")
    assert "r.example" not in json.dumps(function)


def test_unknown_fields_are_refused(cluster: FakeCluster, config: Path, tmp_path: Path) -> None:
    """The cluster refuses an unknown field, and the message names the object."""
    daemonset = next(manifest for manifest in load([PARTS["agent"]]) if manifest["kind"] == "DaemonSet")
    daemonset["spec"]["template"]["spec"]["containers"][0]["imagePulPolicy"] = "Always"
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(daemonset))
    done = quickly("deploy", "-f", str(tmp_path / "wrong.yaml"), kubeconfig=config)
    assert done.returncode == 1
    assert done.stderr.startswith("knative: daemonsets.apps/vaccel-agent was refused: strict decoding error")
    assert "imagePulPolicy" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "daemonsets/vaccel-agent" not in cluster.names()


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


def test_what_was_applied_by_others_stays(cluster: FakeCluster, config: Path) -> None:
    """Undeploying deletes what deploy applied, in the end only; what Helm did needs --all; what is gone is fine."""
    assert knative("deploy", *PATIENT, kubeconfig=config).returncode == 0
    (account,) = (stored for stored in cluster.objects.values() if stored["kind"] == "ServiceAccount")
    account["metadata"]["managedFields"] = [{"manager": "helm", "operation": "Update"}]
    refused = knative("undeploy", kubeconfig=config)
    assert (refused.returncode, "give --yes" in refused.stderr) == (2, True)
    done = knative("undeploy", "--yes", "--json", *PATIENT, kubeconfig=config)
    assert done.returncode == 0, done.stderr
    assert results(done.stdout)["serviceaccount/vaccel-agent"] == "kept"
    assert set(results(done.stdout).values()) == {"kept", "deleted"}
    assert json.loads(done.stdout)["gone"] is True
    assert cluster.names() == {"namespaces/tweets", "deployments/controller", "serviceaccounts/vaccel-agent"}
    done = knative("undeploy", "--yes", "--all", *PATIENT, kubeconfig=config)
    assert done.returncode == 0, done.stderr
    assert "deleted serviceaccount/vaccel-agent\n" in done.stdout
    assert "absent service.serving.knative.dev/vaccel-function\n" in done.stdout


def test_what_does_not_go_is_named(cluster: FakeCluster, config: Path) -> None:
    """After the timeout the message names the object that is still there."""
    assert quickly("deploy", "agent", *PATIENT, kubeconfig=config).returncode == 0
    cluster.lingering = 10_000
    done = quickly("undeploy", "agent", "--yes", *QUICK, kubeconfig=config)
    assert done.returncode == 1
    assert "still there after 0.3 s: daemonset.apps/vaccel-agent" in done.stderr.splitlines()[-1]


def test_overrides_reach_their_places() -> None:
    """The function's and the agent's containers, environment and annotations; the files' objects stay as they were."""
    objects = load(PARTS.values())
    overrides = Overrides("f:2", "a:2", "tcp://agent:1", SHA, 1, 5)
    templates = {
        manifest["kind"]: manifest["spec"]["template"]
        for manifest in changed(objects, overrides)
        if "template" in manifest.get("spec", {})
    }
    function, agent = templates["Service"], templates["DaemonSet"]
    env = {variable["name"]: variable["value"] for variable in function["spec"]["containers"][0]["env"]}
    assert (env["VACCEL_RPC_ADDRESS"], env["MODEL"]) == ("tcp://agent:1", SHA)
    assert (function["spec"]["containers"][0]["image"], agent["spec"]["containers"][0]["image"]) == ("f:2", "a:2")
    scale = {name: value for name, value in function["metadata"]["annotations"].items() if name.endswith("-scale")}
    assert scale == {"autoscaling.knative.dev/min-scale": "1", "autoscaling.knative.dev/max-scale": "5"}
    assert objects == load(PARTS.values())
    sidecar = changed(load([PARTS["function"].with_name("service-sidecar.yaml")]), Overrides("f:2", "a:2"))[0]
    assert sorted(container["image"] for container in sidecar["spec"]["template"]["spec"]["containers"]) == ["a:2", "f:2"]


def test_what_is_overridden_still_fits_the_schemas() -> None:
    """Kubernetes' own, and Knative's with unknown fields failing."""
    objects = changed(load(PARTS.values()), Overrides("f:2", "a:2", "tcp://agent:1", SHA, 1, 5))
    assert [problem for manifest in objects for problem in schema_problems(manifest)] == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--address", "nowhere"), "'--address': 'nowhere' has no scheme"),
        (("--address", "tcp://a:1,tcp://b:2"), "one address is needed"),
        (("--model", "sha256:12"), "'--model': 'sha256:12': a NAME, or sha256: and 64"),
        (("--min-scale", "3", "--max-scale", "2"), "--min-scale 3 is more than --max-scale 2"),
        (("agent", "--image", "x"), "--image: this command deploys no function"),
    ],
)
def test_invalid_overrides_are_named(options: tuple[str, ...], says: str, cluster: FakeCluster, config: Path) -> None:
    """The command exits with 2, and nothing is sent to the cluster."""
    result = quickly("deploy", *options, kubeconfig=config)
    assert result.returncode == 2
    assert says in result.stderr
    assert not cluster.requests


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "is not YAML"),
        ("kind: Pod", "not a Kubernetes object"),
        ("just text", "not a Kubernetes object"),
        (None, "No such file"),
    ],
)
def test_wrong_files_are_named(text: str | None, says: str, tmp_path: Path) -> None:
    """One line names the file and what is wrong in it."""
    file = tmp_path / "objects.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ManifestError, match=says) as error:
        load([file])
    assert "\n" not in str(error.value)


def test_objects_of_another_namespace(cluster: FakeCluster, config: Path, tmp_path: Path) -> None:
    """Objects of another namespace are not put into this one."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "x", "namespace": "elsewhere"}}
    (tmp_path / "x.yaml").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [account]}))
    done = quickly("deploy", "-f", str(tmp_path / "x.yaml"), kubeconfig=config)
    assert (done.returncode, done.stderr) == (
        1,
        "knative: serviceaccount/x belongs to namespace elsewhere, not to tweets: give -n\n",
    )
    assert not [request for request in cluster.requests if request[0] == "PATCH"]
