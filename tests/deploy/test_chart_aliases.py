"""Aliases of the agents' chart: a file that the agent reads, which changes without new pods."""

from __future__ import annotations

from typing import Any

import pytest

from agent.store.aliasfile import parse_aliases
from tests.deploy.test_charts import rendered
from tests.support.objects import Object

pytestmark = pytest.mark.helm

A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
ALIASES = {"tweets": A, "reviews": {"model": A, "canary": {"model": B, "percent": 2.5}, "shadow": {"model": B, "percent": 10}}}


def by_kind(kind: str, aliases: dict[str, Any]) -> list[Object]:
    """The chart's objects of one kind."""
    objects = rendered("vaccel-agent", {"models": {"aliases": aliases}})
    return [each for each in objects if each["kind"] == kind]


def test_the_agent_reads_what_the_chart_writes() -> None:
    """The file is where the option says, in a folder whose links the kubelet swaps: no subPath, which would never change."""
    (written,), (daemonset,) = by_kind("ConfigMap", ALIASES), by_kind("DaemonSet", ALIASES)
    specs = parse_aliases(written["data"]["aliases.json"].encode())
    assert specs["tweets"].digests == ["a" * 64]
    assert (specs["reviews"].canary, specs["reviews"].shadow) != (None, None)
    pod = daemonset["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "aliases"]
    assert mount == {"name": "aliases", "mountPath": "/etc/vaccel", "readOnly": True}
    assert container["args"][container["args"].index("--aliases") + 1] == "/etc/vaccel/aliases.json"
    assert {"name": "aliases", "configMap": {"name": written["metadata"]["name"]}} in pod["volumes"]


def test_a_change_of_aliases_replaces_no_pod() -> None:
    """The workload is the same object; without aliases there is neither file nor option."""
    assert by_kind("DaemonSet", {"tweets": A}) == by_kind("DaemonSet", {"tweets": B})
    assert by_kind("ConfigMap", {}) == []
    assert "--aliases" not in by_kind("DaemonSet", {})[0]["spec"]["template"]["spec"]["containers"][0]["args"]
