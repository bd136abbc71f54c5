"""Warm agents on nodes that a cluster autoscaler may remove.

Autoscalers do not count a DaemonSet's pods: a node with nothing but an agent is empty to them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from knative.cluster.api import Cluster
from knative.cluster.errors import KnativeError
from knative.cluster.objects import NODE, Json, label
from knative.look.agents import AgentPod

#: The labels that name a node's pool: Karpenter's, Google's, Amazon's, Microsoft's.
_POOLS = (
    "karpenter.sh/nodepool",
    "cloud.google.com/gke-nodepool",
    "eks.amazonaws.com/nodegroup",
    "kubernetes.azure.com/agentpool",
)
#: The annotations by which an autoscaler leaves a node alone.
_KEPT = ("cluster-autoscaler.kubernetes.io/scale-down-disabled", "karpenter.sh/do-not-disrupt")


def risks(cluster: Cluster, agents: Sequence[AgentPod]) -> Iterator[str]:
    """A line for each node pool whose nodes may be removed under a DaemonSet's agents.

    Nothing where the nodes cannot be read, which takes a right in the whole cluster.
    """
    pools: dict[str, list[str]] = defaultdict(list)
    for name in sorted({agent.node for agent in agents if agent.of_daemon_set and agent.node}):
        try:
            node = cluster.get(NODE, name)
        except KnativeError:
            return
        if node and (pool := _pool(node)):
            pools[pool].append(name)
    for pool, nodes in pools.items():
        yield (
            f"the DaemonSet's agents on {', '.join(nodes)} do not keep their nodes: if the node pool {pool} scales, an autoscaler may "
            'remove them; see "Agents that keep their node" in docs/deploy.md'
        )


def _pool(node: Json) -> str:
    """The pool of a node that may be removed; empty where it has none or is to be kept."""
    annotations = node["metadata"].get("annotations") or {}
    if any(annotations.get(name) == "true" for name in _KEPT):
        return ""
    return next((pool for name in _POOLS if (pool := label(node, name))), "")
