"""Plays Knative Serving's controllers for one Knative Service of a played cluster: revisions, and which of them has which traffic."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from tests.support.clusterkinds import NAMESPACE, FakeResponse
from tests.support.fakecluster import FakeCluster

Json = dict[str, Any]


@dataclass
class FakeServing:
    """A revision is ready ``starting`` steps after its template has appeared."""

    cluster: FakeCluster
    service: str
    starting: int = 2
    templates: dict[str, Json] = field(default_factory=dict)  # by revision, the oldest first
    ages: dict[str, int] = field(default_factory=dict)
    traffic: list[Json] = field(default_factory=list)

    def step(self) -> dict[str, int]:
        """One look at the Service. Returns the percentage of the requests that each revision gets from then on."""
        service = self.cluster.objects["serving.knative.dev", "services", NAMESPACE, self.service]
        self._create(service)
        for name in self.ages:
            self.ages[name] += 1
        ready = [name for name in self.templates if self.ages[name] > self.starting]
        self._route(service["spec"].get("traffic") or [{"latestRevision": True, "percent": 100}], ready)
        self.cluster.statuses[f"Service/{self.service}"] = {
            "url": f"http://{self.service}.{NAMESPACE}.example.com", "latestCreatedRevisionName": list(self.templates)[-1],
            "latestReadyRevisionName": ready[-1] if ready else "", "traffic": self.traffic,
            "conditions": [{"type": "Ready", "status": "True" if self.traffic else "Unknown"}],
        }  # fmt: skip
        shares: dict[str, int] = {}
        for target in self.traffic:
            shares[target["revisionName"]] = shares.get(target["revisionName"], 0) + target.get("percent", 0)
        return shares

    def _create(self, service: Json) -> None:
        template = copy.deepcopy(service["spec"]["template"])
        if self.templates and list(self.templates.values())[-1] == template:
            return
        name = template.get("metadata", {}).get("name") or f"{self.service}-{service['metadata']['generation']:05d}"
        if name in self.templates:
            raise FakeResponse(400, "validation failed: Saw the following changes without a name change")
        if not name.startswith(f"{self.service}-"):
            raise FakeResponse(400, f'validation failed: invalid value: {name}: metadata.name must have prefix "{self.service}-"')
        self.templates[name], self.ages[name] = template, 0
        self.cluster.add("serving.knative.dev/v1", "Revision", name, labels={"serving.knative.dev/service": self.service})

    def _route(self, targets: list[Json], ready: list[str]) -> None:
        """While a revision that it names is missing or unready, a route stays as it is."""
        if sum(target.get("percent", 0) for target in targets) != 100:
            raise FakeResponse(400, "validation failed: expected 100 percent, got another sum: spec.traffic")
        latest = ready[-1] if ready else ""
        names = [target.get("revisionName") or latest for target in targets]
        if all(name in ready for name in names):
            self.traffic = [{**target, "revisionName": name} for target, name in zip(targets, names, strict=True)]
