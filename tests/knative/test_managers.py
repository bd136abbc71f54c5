"""Who owns the fields of an object: ``python -m knative deploy`` beside kubectl, and after its own former version."""

from __future__ import annotations

import copy
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from knative.apply.manifests import PARTS, load
from tests.support.clustercommand import quickly
from tests.support.clusterkinds import FakeResponse
from tests.support.fakecluster import FakeCluster
from tests.support.optional import needs_program
from tests.support.paths import ROOT
from tests.support.serverside import applied

Json = dict[str, Any]


def kubectl(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs kubectl itself; its cache of the cluster's kinds is beside the kubeconfig."""
    env = {**os.environ, "HOME": str(config.parent), "KUBECONFIG": str(config)}
    return subprocess.run(["kubectl", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)


def function(cluster: FakeCluster) -> Json:
    """The function as the cluster has it."""
    (stored,) = (stored for stored in cluster.objects.values() if stored["metadata"]["name"] == "vaccel-function")
    return stored


@needs_program("kubectl", "kubernetes-client, or https://kubernetes.io/docs/tasks/tools")
def test_kubectl_after_deploy(cluster: FakeCluster, config: Path) -> None:
    """Server-side apply of the same files has no conflict and changes nothing, nor does deploying again after it."""
    assert quickly("deploy", "--no-wait", kubeconfig=config).returncode == 0
    before = copy.deepcopy(function(cluster))
    done = kubectl(config, "apply", "--server-side", "-k", "knative/manifests")
    assert (done.returncode, done.stderr) == (0, "")
    assert "service.serving.knative.dev/vaccel-function serverside-applied" in done.stdout
    assert function(cluster) == before
    again = quickly("deploy", "--no-wait", kubeconfig=config)
    assert {line.split()[0] for line in again.stdout.splitlines()} == {"unchanged"}


@needs_program("kubectl", "kubernetes-client, or https://kubernetes.io/docs/tasks/tools")
def test_undeploy_after_kubectl(cluster: FakeCluster, config: Path) -> None:
    """What kubectl has applied from the same files is deleted."""
    assert kubectl(config, "apply", "--server-side", "-k", "knative/manifests").returncode == 0
    done = quickly("undeploy", "--yes", "--poll-s", "0.05", kubeconfig=config)
    assert done.returncode == 0, done.stderr
    assert cluster.names() == {"namespaces/tweets", "deployments/controller"}


def test_what_the_former_version_applied(cluster: FakeCluster, config: Path) -> None:
    """A field that is no longer in the files goes, in one new version of the object; a dry run changes nothing."""
    (manifest,) = load([PARTS["function"]])
    former = copy.deepcopy(manifest)
    former["spec"]["template"]["spec"]["shareProcessNamespace"] = False
    live = cluster.add("serving.knative.dev/v1", "Service", "vaccel-function")
    key = next(key for key, stored in cluster.objects.items() if stored is live)
    cluster.objects[key] = applied(live, former, "vaccel-knative", force=True)
    generation = live["metadata"]["generation"]
    assert quickly("deploy", "function", "--dry-run", kubeconfig=config).returncode == 0
    assert "shareProcessNamespace" in str(function(cluster)["spec"])
    done = quickly("deploy", "function", "--no-wait", kubeconfig=config)
    assert done.stdout == "configured service.serving.knative.dev/vaccel-function\n", done.stderr
    assert "shareProcessNamespace" not in str(function(cluster)["spec"])
    assert function(cluster)["metadata"]["generation"] == generation + 1
    assert [entry["manager"] for entry in function(cluster)["metadata"]["managedFields"]] == ["kubectl"]


def test_the_played_server_resolves_conflicts() -> None:
    """It names the field, its owner and their number; force takes it; a field goes with its last owner."""
    live = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "a"}}
    one = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "a"}, "spec": {"x": 1, "y": {"z": 2}}}
    other = copy.deepcopy(one) | {"spec": {"x": 3, "y": {"z": 2}}}
    first = applied(live, one, "one", force=False)
    with pytest.raises(FakeResponse) as refused:
        applied(first, other, "other", force=False)
    assert (refused.value.code, 'conflict with \\"one\\" using apps/v1: .spec.x' in refused.value.body) == (409, True)
    taken = applied(first, other, "other", force=True)
    assert taken["spec"]["x"] == 3
    less = {**one, "spec": {"x": 3}}
    assert applied(taken, less, "other", force=False)["spec"]["y"] == {"z": 2}
    assert "y" not in applied(applied(taken, less, "other", force=False), less, "one", force=False)["spec"]
