"""The agent's chart over clusters from Kubernetes 1.31 to 1.36: what each can run is valid there, the rest is refused."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import pytest

from scripts import charts
from tests.support.networkpolicy import NetworkPeer, admits
from tests.support.objects import Object, policy_problems, read, schema_problems

helm = pytest.importorskip("helm_python", reason="needs the dependency group 'charts': make charts")
pytestmark = pytest.mark.helm

Values = dict[str, Any]
VERSIONS = ["1.31", "1.32", "1.33", "1.34", "1.35", "1.36"]
GPU = {"name": "gpu", "deviceClassName": "gpu.nvidia.com", "selectors": ["device.attributes['gpu.nvidia.com'].type == 'gpu'"]}
CORES = {"name": "cpu", "deviceClassName": "dra.cpu", "count": 4}
#: Name -> values, and the first version that has what they need.
KINDS: dict[str, tuple[Values, str]] = {
    "daemonset": ({}, "1.31"),
    "daemonset-gpu": ({"gpu": {"enabled": True}}, "1.31"),
    "deployment": ({"kind": "Deployment", "replicas": 2, "gpu": {"enabled": True}, "safeToEvict": False}, "1.31"),
    "hpa": ({"kind": "Deployment", "autoscaling": {"type": "hpa"}}, "1.31"),
    "keda": ({"kind": "Deployment", "autoscaling": {"type": "keda"}}, "1.31"),
    "keda-from-zero": ({"kind": "Deployment", "autoscaling": {"type": "keda", "minReplicas": 0}}, "1.31"),
    "dra": ({"resourceClaims": [GPU]}, "1.34"),
    "dra-gpu-else-cpu": ({"kind": "Deployment", "resourceClaims": [{"name": "any", "firstAvailable": [GPU, CORES]}]}, "1.34"),
    "dra-template": ({"resourceClaims": [{"name": "gpu", "templateName": "shared-gpu"}]}, "1.34"),
    "dra-partition": ({"resourceClaims": [{"name": "part", "deviceClassName": "dra.cpu", "capacity": {"dra.cpu/cpu": "4"}}]}, "1.36"),
    "same-node": ({"service": {"trafficDistribution": "PreferSameNode"}}, "1.34"),
}  # fmt: skip
IMAGE = "registry.example.org/models/tweets:1"
SOURCES: dict[str, tuple[Values, str]] = {
    "image": ({}, "1.31"),
    "imageVolume": ({"source": "imageVolume", "imageVolume": {"reference": IMAGE}}, "1.35"),
    "imageVolume-subPath": ({"source": "imageVolume", "imageVolume": {"reference": IMAGE, "subPath": "models"}}, "1.35"),
    "hostPath": ({"source": "hostPath", "hostPath": "/var/lib/models"}, "1.31"),
    "pvc": ({"source": "pvc", "pvc": "models"}, "1.31"),
    "copy": ({"source": "copy", "copy": {"image": IMAGE}}, "1.31"),
}


def minor(version: str) -> int:
    return int(version.partition(".")[2])


def rendered(values: Values, version: str, *gates: str) -> list[Object]:
    values = values | {"kubeVersion": f"v{version}.4-gke.100", "featureGates": list(gates)}
    return [each for text in charts.render("vaccel-agent", values, name="vaccel-agent").values() for each in read(text)]


def problems(objects: list[Object], version: str) -> list[str]:
    return [problem for each in objects for problem in _problems(json.dumps(each), version)]


@functools.cache
def _problems(manifest: str, version: str) -> list[str]:
    """Cached: most objects are the same in every case."""
    return [*schema_problems(json.loads(manifest), version), *policy_problems(json.loads(manifest))]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_version_has_is_valid_there(kind: str, version: str) -> None:
    """Every kind of agent with every source of models: by that version's schemas and the policy, or refused by its path."""
    for source, (models, models_since) in SOURCES.items():
        values, since = KINDS[kind]
        values = values | {"models": models}
        if minor(version) >= max(minor(since), minor(models_since)):
            assert problems(rendered(values, version), version) == [], source
        else:
            with pytest.raises(
                helm.HelmError, match=r"(resourceClaims|models\.source|service\.trafficDistribution): .* needs Kubernetes"
            ):
                rendered(values, version)


@pytest.mark.parametrize(
    ("values", "gate", "since"),
    [
        ({"models": SOURCES["imageVolume"][0]}, "ImageVolume", "1.31"),
        ({"models": SOURCES["imageVolume-subPath"][0]}, "ImageVolume", "1.33"),
        ({"service": {"trafficDistribution": "PreferSameNode"}}, "PreferSameTrafficDistribution", "1.33"),
        (KINDS["dra-partition"][0], "DRAConsumableCapacity", "1.34"),
    ],
)
def test_a_gate_that_is_on_opens_an_older_cluster(values: Values, gate: str, since: str) -> None:
    """A feature that a version has, but not by default, is used where `featureGates` says that it is on."""
    assert problems(rendered(values, since, gate), since) == []
    with pytest.raises(helm.HelmError, match=re.escape("1.")):
        rendered(values, since)


def test_an_older_cluster_gets_the_nearest_traffic_distribution() -> None:
    """By default a client prefers its node where the cluster knows that, and its zone where it does not."""
    for version, expected in (
        ("1.31", "PreferClose"),
        ("1.33", "PreferClose"),
        ("1.34", "PreferSameNode"),
        ("1.36", "PreferSameNode"),
    ):
        services = [each for each in rendered({}, version) if each["kind"] == "Service"]
        assert services[0]["spec"]["trafficDistribution"] == expected, version


@pytest.mark.parametrize("chart", [name for name in charts.NAMES if name != "vaccel-agent"])
def test_the_other_charts_fit_every_version(chart: str) -> None:
    """Function, client and load test use nothing that 1.31 lacks, image volumes aside, which the case's cluster has enabled."""
    for name, values in charts.cases(chart).items():
        objects = [each for text in charts.render(chart, values, name=chart).values() for each in read(text)]
        for version in VERSIONS:
            assert problems(objects, version) == [], (name, version)


def test_a_versions_schemas_refuse_what_it_lacks() -> None:
    """The matrix means something: the schemas of 1.33 have no ResourceClaimTemplate of resource.k8s.io/v1."""
    assert any("resource.k8s.io/v1" in problem for problem in problems(rendered(KINDS["dra"][0], "1.34"), "1.33"))


def only(objects: list[Object], kind: str) -> Object:
    (found,) = [each for each in objects if each["kind"] == kind]
    return found


def test_a_claim_reaches_the_agents_container() -> None:
    """A claim of its own for each pod, from the template that the chart creates; the pod is replaced, not doubled."""
    values = {"resourceClaims": [{**GPU, "count": 2}, {"name": "nic", "templateName": "shared-nic"}]}
    objects = rendered(values, "1.36")
    template, spec = only(objects, "ResourceClaimTemplate"), only(objects, "DaemonSet")["spec"]
    (request,) = template["spec"]["spec"]["devices"]["requests"]
    assert request["exactly"]["count"] == 2
    assert request["exactly"]["selectors"] == [{"cel": {"expression": GPU["selectors"][0]}}]
    assert spec["template"]["spec"]["resourceClaims"] == [
        {"name": "gpu", "resourceClaimTemplateName": template["metadata"]["name"]},
        {"name": "nic", "resourceClaimTemplateName": "shared-nic"},
    ]
    container = spec["template"]["spec"]["containers"][0]
    assert container["resources"]["claims"] == [{"name": "gpu"}, {"name": "nic"}]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    assert spec["updateStrategy"]["rollingUpdate"]["maxSurge"] == 0


def test_another_claim_has_another_template() -> None:
    """The spec of a template cannot be changed: an upgrade creates a new one, and the pods name it."""
    names = {
        only(rendered({"resourceClaims": [{**GPU, "count": count}]}, "1.36"), "ResourceClaimTemplate")["metadata"]["name"]
        for count in (1, 2, 2)
    }
    assert len(names) == 2


def test_an_agent_that_keeps_its_node() -> None:
    """It asks for the accelerator, which brings a node up, and Cluster Autoscaler and Karpenter leave its node alone."""
    spread = {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
    values = KINDS["deployment"][0] | {"topologySpreadConstraints": [spread], "podAnnotations": {"team": "a"}}
    deployment = only(rendered(values, "1.36"), "Deployment")
    template = deployment["spec"]["template"]
    assert template["metadata"]["annotations"] == {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
        "team": "a",
    }
    assert template["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    (constraint,) = template["spec"]["topologySpreadConstraints"]
    assert constraint == spread | {"labelSelector": deployment["spec"]["selector"]}
    assert "annotations" not in only(rendered({"kind": "Deployment"}, "1.36"), "Deployment")["spec"]["template"]["metadata"]


def test_no_agent_until_a_request_waits_for_one() -> None:
    """KEDA: from 0 by the functions' waiting requests, from 1 by the agents' load, to 0 after an idle time."""
    scaling = {"type": "keda", "minReplicas": 0, "maxReplicas": 3, "idleSeconds": 60, "functionNamespaces": ["a", "b"]}
    spec = only(rendered({"kind": "Deployment", "autoscaling": scaling}, "1.36"), "ScaledObject")["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"], spec["cooldownPeriod"]) == (0, 3, 60)
    assert spec["fallback"]["replicas"] == 1
    triggers = {trigger["name"]: trigger["metadata"] for trigger in spec["triggers"]}
    assert set(triggers) == {"load", "waiting", "batches"}
    assert {"vaccel_queue_requests", "vaccel_running_requests"} <= set(re.findall(r"\w+", triggers["load"]["query"]))
    assert 'function_requests_waiting_for_agent{namespace=~"a|b"}' in triggers["waiting"]["query"]
    # Batches only say that there is work: no number of them asks for another agent.
    assert int(triggers["batches"]["threshold"]) >= 10**9
    always = only(rendered({"kind": "Deployment", "autoscaling": {"type": "keda"}}, "1.36"), "ScaledObject")["spec"]
    assert [trigger["name"] for trigger in always["triggers"]] == ["load"]


def test_a_namespace_that_is_named_may_send_clients() -> None:
    """Its labelled pods run models over both ports, its other pods do not."""
    opened = {
        "clientNamespaces": ["team-a"],
        "monitoringNamespaces": ["metrics"],
        "monitoringCidrs": ["10.0.0.0/28", "fd00::/64"],
    }
    objects = rendered({"grpc": {"enabled": True}, "networkPolicy": opened}, "1.36")
    policies, metadata = [only(objects, "NetworkPolicy")], only(objects, "DaemonSet")["spec"]["template"]["metadata"]
    agent = NetworkPeer("default", metadata["labels"], {"rpc": 8888, "grpc": 8889, "metrics": 9090})
    client, other = NetworkPeer("team-a", {"vaccel.dev/client": "true"}), NetworkPeer("team-a", {"app": "shop"})
    assert [admits(policies, client, agent, port) for port in (8888, 8889, 9090)] == [True, True, False]
    assert [admits(policies, other, agent, port) for port in (8888, 8889, 9090)] == [False, False, False]
    assert not admits(policies, NetworkPeer("team-b", client.labels), agent, 8888)
    assert [admits(policies, NetworkPeer(space), agent, 9090) for space in ("metrics", "monitoring")] == [True, False]
    assert [admits(policies, NetworkPeer(address=where), agent, 9090) for where in ("10.0.0.3", "10.0.0.99")] == [True, False]
    assert not admits(policies, NetworkPeer(address="10.0.0.3"), agent, 8888)


def test_metrics_that_nobody_may_read() -> None:
    """Without namespaces and addresses the port is closed, not open to all."""
    closed: Values = {"networkPolicy": {"monitoringNamespaces": []}}
    policies = [only(rendered(closed, "1.36"), "NetworkPolicy")]
    labels = only(rendered(closed, "1.36"), "DaemonSet")["spec"]["template"]["metadata"]["labels"]
    assert not admits(policies, NetworkPeer("monitoring"), NetworkPeer("default", labels, {"metrics": 9090}), 9090)
