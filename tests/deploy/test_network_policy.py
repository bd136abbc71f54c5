"""Who reaches an agent's ports, and who does not, by the rules that are rendered."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.networkpolicy import OWN_NODE, NetworkPeer, admits
from tests.support.objects import Object, read
from tests.support.paths import ROOT

RPC, GRPC, METRICS = 8888, 8889, 9090


def objects(file: str) -> list[Object]:
    return read((ROOT / "knative/manifests" / file).read_text())


def pod(manifest: Object, namespace: str = "default") -> NetworkPeer:
    """The pod that an object starts."""
    template = manifest["spec"].get("template", manifest)
    ports = {port["name"]: port["containerPort"] for each in template["spec"]["containers"] for port in each.get("ports", [])}
    return NetworkPeer(namespace, template["metadata"]["labels"], ports)


AGENT = pod(next(each for each in objects("daemonset-agent.yaml") if each["kind"] == "DaemonSet"))
POLICIES = [each for each in objects("daemonset-agent.yaml") if each["kind"] == "NetworkPolicy"]
FUNCTION = pod(objects("service.yaml")[0])
CLIENT = pod(objects("client.yaml")[0])
STRANGER = NetworkPeer("default", {"app": "shop"})
ACTIVATOR = NetworkPeer("knative-serving", {"app": "activator", "role": "activator"})
BROKER = NetworkPeer("knative-eventing", {"app": "broker-filter"})
PROMETHEUS = NetworkPeer("monitoring", {"app.kubernetes.io/name": "prometheus"})

CONNECTIONS: list[tuple[str, NetworkPeer, int, bool]] = [
    ("a function's pod runs models", FUNCTION, RPC, True),
    ("a function's pod reads no metrics of agents", FUNCTION, METRICS, False),
    ("the client's pod runs models", CLIENT, RPC, True),
    ("another pod of the namespace does not", STRANGER, RPC, False),
    ("nor does it read metrics", STRANGER, METRICS, False),
    ("a client of another namespace does not", NetworkPeer("team-a", FUNCTION.labels), RPC, False),
    ("the activator speaks to functions, not to agents", ACTIVATOR, RPC, False),
    ("nor does it read metrics", ACTIVATOR, METRICS, False),
    ("a broker sends events to functions alone", BROKER, RPC, False),
    ("Prometheus reads metrics", PROMETHEUS, METRICS, True),
    ("Prometheus runs no models", PROMETHEUS, RPC, False),
    ("an address outside the cluster does not", NetworkPeer(address="203.0.113.7"), RPC, False),
    ("the kubelet's probes come through", OWN_NODE, METRICS, True),
]


@pytest.mark.parametrize(
    ("source", "port", "admitted"), [each[1:] for each in CONNECTIONS], ids=[each[0] for each in CONNECTIONS]
)
def test_who_reaches_an_agent(source: NetworkPeer, port: int, admitted: bool) -> None:
    """Labelled clients of the namespace, Prometheus and the kubelet; nobody else."""
    assert admits(POLICIES, source, AGENT, port) is admitted


@pytest.mark.parametrize("port", [8012, 8022, 8080])
def test_the_policy_leaves_functions_alone(port: int) -> None:
    """The activator, the autoscaler and the kubelet reach queue-proxy and the function as before."""
    for source in (ACTIVATOR, PROMETHEUS, STRANGER, OWN_NODE):
        assert admits(POLICIES, source, FUNCTION, port)


def test_probes_use_the_port_of_the_metrics() -> None:
    """The agent's three probes are HTTP of the port that the policy closes: only the own node's kubelet sends them."""
    daemonset = next(each for each in objects("daemonset-agent.yaml") if each["kind"] == "DaemonSet")
    (container,) = daemonset["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == "metrics"
    assert not admits(POLICIES, NetworkPeer(address="10.0.0.9"), AGENT, METRICS)


def rule(*peers: Any, ports: Any = None) -> list[Any]:
    """A policy for every pod of its namespace."""
    ingress: dict[str, Any] = {"from": list(peers)} if peers else {}
    return [
        {
            "metadata": {"namespace": "default"},
            "spec": {"podSelector": {}, "ingress": [ingress | ({"ports": ports} if ports else {})]},
        }
    ]


LABELLED = {"podSelector": {"matchLabels": {"role": "client"}}}
SPACE = {
    "namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["team-a"]}]}
}
OWN, OTHER = NetworkPeer("default", {"role": "client"}), NetworkPeer("team-a", {"role": "client"})
PLAIN = NetworkPeer("team-a", {})
OUTSIDE = NetworkPeer(address="192.0.2.9")
SEMANTICS: list[tuple[list[Any], NetworkPeer, bool]] = [
    ([], PLAIN, True),
    ([{"metadata": {"namespace": "team-a"}, "spec": {"podSelector": {}}}], PLAIN, True),
    ([{"metadata": {}, "spec": {"podSelector": {}, "policyTypes": ["Egress"]}}], PLAIN, True),
    ([{"metadata": {}, "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}], OWN, False),
    (rule(), OUTSIDE, True),
    (rule(LABELLED), OWN, True),
    (rule(LABELLED), OTHER, False),
    (rule({**LABELLED, **SPACE}), OTHER, True),
    (rule({**LABELLED, **SPACE}), PLAIN, False),
    (rule({**LABELLED, **SPACE}), OWN, False),
    (rule(LABELLED, SPACE), PLAIN, True),
    (rule({"namespaceSelector": {}}), PLAIN, True),
    (rule({"namespaceSelector": {}}), OUTSIDE, False),
    (rule({"ipBlock": {"cidr": "192.0.2.0/24"}}), OUTSIDE, True),
    (rule({"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.8/29"]}}), OUTSIDE, False),
    (rule({"podSelector": {"matchExpressions": [{"key": "role", "operator": "Exists"}]}}), OWN, True),
    (rule({"podSelector": {"matchExpressions": [{"key": "role", "operator": "NotIn", "values": ["client"]}]}}), OWN, False),
    (rule({"podSelector": {"matchExpressions": [{"key": "role", "operator": "DoesNotExist"}]}}), OWN, False),
    (rule(ports=[{"port": "rpc"}]), PLAIN, True),
    (rule(ports=[{"port": "rpc", "protocol": "UDP"}]), PLAIN, False),
    (rule(ports=[{"port": "grpc"}]), PLAIN, False),
    (rule(ports=[{"port": 8000, "endPort": 8999}]), PLAIN, True),
    (rule(ports=[{"port": 8000}]), PLAIN, False),
    (rule(LABELLED) + rule(SPACE), PLAIN, True),
]


@pytest.mark.parametrize(("policies", "source", "admitted"), SEMANTICS)
def test_policies_mean_what_kubernetes_says(policies: list[Any], source: NetworkPeer, admitted: bool) -> None:
    """Two selectors in one entry must both hold, two entries are alternatives, several policies add up."""
    assert admits(policies, source, NetworkPeer("default", {"app": "x"}, {"rpc": RPC}), RPC) is admitted
