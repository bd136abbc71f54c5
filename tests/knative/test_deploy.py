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
        (("--address", "tcp://a:1,,tcp://b:2"), "an address of the list is empty"),
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
