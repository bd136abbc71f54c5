"""Kubernetes' NetworkPolicies, evaluated: which connections rendered policies admit to a pod.

Ingress only, as the charts have it. Source: kubernetes.io/docs/concepts/services-networking/network-policies.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Labels = Mapping[str, str]
_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class NetworkPeer:
    """A pod of a namespace, with the ``ports`` that its containers name; or an address outside the cluster."""

    namespace: str = ""
    labels: Labels = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    address: str = ""


#: The kubelet of the pod's own node, which sends its probes. No policy can refuse what comes from there.
OWN_NODE = NetworkPeer(address="node")


def admits(policies: Sequence[Any], source: NetworkPeer, target: NetworkPeer, port: int, protocol: str = "TCP") -> bool:
    """Whether ``source`` may connect to ``port`` of ``target``.

    What no policy selects is open; what one or more select admits what any of them admits. A
    namespace has the label with its name that Kubernetes gives it, and no other.
    """
    if source == OWN_NODE:
        return True
    selecting = [
        policy
        for policy in policies
        if policy["metadata"].get("namespace", target.namespace) == target.namespace
        and "Ingress" in policy["spec"].get("policyTypes", ["Ingress"])
        and matches(policy["spec"]["podSelector"], target.labels)
    ]
    rules = [rule for policy in selecting for rule in policy["spec"].get("ingress") or []]
    return not selecting or any(
        _on_port(rule.get("ports"), target, port, protocol) and _from(rule.get("from"), source, target.namespace)
        for rule in rules
    )


def matches(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Whether a label selector selects these labels; an empty one selects everything."""
    wanted: Labels = selector.get("matchLabels") or {}
    return wanted.items() <= dict(labels).items() and all(
        _holds(requirement, labels) for requirement in selector.get("matchExpressions") or []
    )


def _holds(requirement: Mapping[str, Any], labels: Labels) -> bool:
    value, operator, values = labels.get(requirement["key"]), requirement["operator"], requirement.get("values", [])
    held = {"In": value in values, "NotIn": value not in values, "Exists": value is not None, "DoesNotExist": value is None}
    return held[operator]


def _on_port(ports: Iterable[Mapping[str, Any]] | None, target: NetworkPeer, port: int, protocol: str) -> bool:
    if not ports:
        return True
    for each in ports:
        first = each.get("port", port)
        first = target.ports.get(first) if isinstance(first, str) else first
        if each.get("protocol", "TCP") == protocol and first is not None and first <= port <= each.get("endPort", first):
            return True
    return False


def _from(peers: Iterable[Mapping[str, Any]] | None, source: NetworkPeer, namespace: str) -> bool:
    return not peers or any(_is_peer(peer, source, namespace) for peer in peers)


def _is_peer(peer: Mapping[str, Any], source: NetworkPeer, namespace: str) -> bool:
    """One entry of ``from``: its two selectors must both hold, and without one for namespaces it means the policy's own."""
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        return bool(source.address) and _within(source.address, block["cidr"], block.get("except", ()))
    if source.address:
        return False
    spaces = peer.get("namespaceSelector")
    in_space = source.namespace == namespace if spaces is None else matches(spaces, {_NAME: source.namespace})
    return in_space and matches(peer.get("podSelector") or {}, source.labels)


def _within(address: str, cidr: str, exceptions: Iterable[str]) -> bool:
    where = ipaddress.ip_address(address)
    return where in ipaddress.ip_network(cidr) and not any(where in ipaddress.ip_network(each) for each in exceptions)
