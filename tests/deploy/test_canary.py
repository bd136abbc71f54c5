"""A new model for a tenth of the requests: docs/deploy.md's steps, by Helm itself on a played cluster."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from scripts import charts
from tests.support.clustercommand import quickly
from tests.support.clusterkinds import NAMESPACE
from tests.support.fakecluster import FakeCluster
from tests.support.fakeserving import FakeServing
from tests.support.paths import ROOT

helm = pytest.importorskip("helm_python", reason="needs the dependency group 'charts': make charts")
pytestmark = pytest.mark.helm

Json = dict[str, Any]
NAME, NEXT = "vaccel-function", "vaccel-function-next"
SECTION = (ROOT / "docs/deploy.md").read_text().partition("## A new model, a tenth of the traffic first")[2].partition("\n## ")[0]
LINES = [
    line.removeprefix("$ ") for block in re.findall(r"```console\n(.*?)```", SECTION, re.DOTALL) for line in block.splitlines()
]


class Walk:
    """Runs the commands of the page. ``allowed``: the canary's share by the last command; ``shares``: what it then got."""

    def __init__(self, cluster: FakeCluster, config: Any) -> None:
        self.serving, self._helm, self._variables = FakeServing(cluster, NAME), config, dict[str, str]()
        self.allowed, self.shares = 0, list[int]()
        with helm.Chart.load(charts.CHARTS / NAME) as chart:
            config.install(chart, NAME, {"scale": {"max": 7}})
        assert self._settle() == [{}] * 2 + [{f"{NAME}-00001": 100}] * 3

    def run(self, line: str) -> None:
        """One line of the page."""
        for name, value in self._variables.items():
            line = line.replace(f"${name}", value)
        if assigned := re.match(r"(\w+)=\$\(kubectl get ksvc vaccel-function -o jsonpath='(.*)'\)$", line):
            assert assigned[2] == "{.status.traffic[?(@.percent==100)].revisionName}"
            self._variables[assigned[1]] = next(
                target["revisionName"] for target in self.serving.traffic if target["percent"] == 100
            )
        elif line.startswith("helm upgrade "):
            self._upgrade(shlex.split(line)[2:])

    def _upgrade(self, words: list[str]) -> None:
        assert words[:2] == [NAME, f"knative/charts/{NAME}"]
        values: Json = self._helm.get_all(NAME)["config"] if "--reset-then-reuse-values" in words else {}
        for option, expression in pairwise(words):
            if option == "--set":
                merge(values, helm.parse_set_string(expression))
        named = {target["revisionName"]: target["percent"] for target in values.get("traffic", [])}
        self.allowed = named.get(NEXT, 0)
        with helm.Chart.load(charts.CHARTS / NAME) as chart:
            self._helm.upgrade(chart, NAME, values, reset_values=True)
        seen = [shares.get(NEXT, 0) for shares in self._settle()]
        assert max(seen) <= self.allowed, f"the canary got {seen}, and its share is {self.allowed}"
        self.shares.append(seen[-1])

    def _settle(self) -> list[dict[str, int]]:
        return [self.serving.step() for _ in range(5)]


def merge(values: Json, more: Json) -> None:
    """As Helm merges the values of an upgrade into earlier ones: tables by key, lists as a whole."""
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(values.get(name), dict):
            merge(values[name], value)
        else:
            values[name] = value


@pytest.fixture
def walk(cluster: FakeCluster, config: Path) -> Iterator[Walk]:
    """With the function installed by Helm, with a value that is not the chart's."""
    with helm.Config(kubeconfig_path=str(config), namespace=NAMESPACE, storage_driver="memory") as connection:
        yield Walk(cluster, connection)


def test_no_step_gives_the_canary_more_than_its_share(walk: Walk, cluster: FakeCluster, config: Path) -> None:
    """Nothing before its share is set, then a tenth, then all; earlier values stay, and the last line goes back."""
    shown = []
    for line in LINES:
        walk.run(line)
        document = json.loads(quickly("status", "--json", kubeconfig=config).stdout)
        shown.append({target["revision"]: target["percent"] for target in document["functions"][0]["traffic"]})
        (function,) = (stored for stored in cluster.objects.values() if stored["kind"] == "Service")
        assert function["spec"]["template"]["metadata"]["annotations"]["autoscaling.knative.dev/max-scale"] == "7"
    assert walk.shares == [0, 0, 10, 100, 0]
    assert {f"{NAME}-00001": 90, NEXT: 10} in shown
    assert shown[-1] == {f"{NAME}-00001": 100}
    assert list(walk.serving.templates) == [f"{NAME}-00001", NEXT]


def test_an_unpinned_upgrade_is_found(walk: Walk) -> None:
    """Without `traffic` the newest revision takes everything, as the page's steps once did."""
    with pytest.raises(AssertionError, match=r"the canary got \[0, 0, 100, 100, 100\]"):
        walk.run(f"helm upgrade {NAME} knative/charts/{NAME} --reset-then-reuse-values --set revisionName={NEXT}")


def test_a_second_template_needs_a_second_name(walk: Walk) -> None:
    """Knative refuses to change a revision that has a name: the next canary names another one."""
    line = f'helm upgrade {NAME} knative/charts/{NAME} --reset-then-reuse-values --set "traffic[0].revisionName={NAME}-00001,traffic[0].percent=100"'
    walk.run(f"{line} --set revisionName={NEXT}")
    with pytest.raises(Exception, match="without a name change"):
        walk.run(f"{line} --set scale.min=1")
