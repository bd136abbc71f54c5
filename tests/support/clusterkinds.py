"""What a played cluster knows of objects: kinds, validation, the status that a controller would give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import kubernetes_validate

Json = dict[str, Any]


NAMESPACE = "tweets"


#: Group and version -> plural, kind, whether it is namespaced.
KINDS: dict[tuple[str, str], list[tuple[str, str, bool]]] = {
    ("", "v1"): [
        ("pods", "Pod", True), ("services", "Service", True), ("serviceaccounts", "ServiceAccount", True), ("events", "Event", True),
        ("namespaces", "Namespace", False), ("nodes", "Node", False),
    ],
    ("apps", "v1"): [("daemonsets", "DaemonSet", True), ("deployments", "Deployment", True)],
    ("networking.k8s.io", "v1"): [("networkpolicies", "NetworkPolicy", True)],
    ("serving.knative.dev", "v1"): [("services", "Service", True), ("revisions", "Revision", True)],
    ("autoscaling.internal.knative.dev", "v1alpha1"): [("podautoscalers", "PodAutoscaler", True)],
    ("networking.internal.knative.dev", "v1alpha1"): [("serverlessservices", "ServerlessService", True)],
}  # fmt: skip


def discovery(path: str, missing: set[str]) -> Json | None:
    """What the cluster says about itself at a path: its version, its groups without the ``missing`` ones, their kinds.

    Its OpenAPI document says no more than what kubectl looks for: that a PATCH of each kind may be validated by the server.
    """
    groups = [key for key in KINDS if key[0] not in missing]
    if path == "/version":
        return {"major": "1", "minor": "36", "gitVersion": "v1.36.0"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        named = [(group, {"groupVersion": f"{group}/{version}", "version": version}) for group, version in groups if group]
        return {"kind": "APIGroupList", "groups": [{"name": n, "versions": [v], "preferredVersion": v} for n, v in named]}
    if path == "/openapi/v3":
        at = [f"apis/{group}/{version}" if group else f"api/{version}" for group, version in groups]
        return {"paths": {name: {"serverRelativeURL": f"/openapi/v3/{name}?hash=1"} for name in at}}
    for group, version in groups:
        named_path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        if path == named_path:
            resources = [
                {"name": p, "kind": k, "namespaced": n, "singularName": "", "verbs": ["get", "patch"]}
                for p, k, n in KINDS[group, version]
            ]
            return {"kind": "APIResourceList", "groupVersion": f"{group}/{version}".strip("/"), "resources": resources}
        if path == f"/openapi/v3{named_path}":
            return {
                "openapi": "3.0.0",
                "info": {"title": "Kubernetes", "version": "v1.36.0"},
                "paths": dict(_patches(group, version)),
            }
    return None


def _patches(group: str, version: str) -> Iterator[tuple[str, Json]]:
    parameters = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
    for plural, kind, _ in KINDS[group, version]:
        described = {"group": group, "version": version, "kind": kind}
        yield (
            f"/{plural}/{{name}}",
            {"patch": {"parameters": parameters, "responses": {}, "x-kubernetes-group-version-kind": described}},
        )


def default_status(manifest: Json) -> Json:
    """Of an object whose controller finds all well."""
    name = manifest["metadata"]["name"]
    if manifest["kind"] == "DaemonSet":
        return {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberReady": 2}
    if manifest["apiVersion"] == "serving.knative.dev/v1" and manifest["kind"] == "Service":
        return {
            "url": f"http://{name}.{NAMESPACE}.example.com", "latestCreatedRevisionName": f"{name}-00001",
            "latestReadyRevisionName": f"{name}-00001", "conditions": [{"type": "Ready", "status": "True"}],
            "traffic": [{"revisionName": f"{name}-00001", "percent": 100, "latestRevision": True}],
        }  # fmt: skip
    return {}


def stamp(when: datetime) -> str:
    """As the API writes it."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def ready(when: datetime | None = None) -> Json:
    """A Ready condition."""
    return {"type": "Ready", "status": "True", "lastTransitionTime": stamp(when or datetime.now(UTC))}


#: Code -> reason of a Kubernetes Status.
_REASONS = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 422: "Invalid",
    429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable",
}  # fmt: skip


class FakeResponse(Exception):
    """A response that is not 200: a Kubernetes Status, or a text of the API server or of a pod.

    ``retry_after``: seconds, for the header.
    """

    def __init__(self, code: int, message: str, *, raw: bool = False, retry_after: int | None = None) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
                  "reason": _REASONS.get(code, ""), "code": code}  # fmt: skip
        if retry_after is not None:
            status["details"] = {"retryAfterSeconds": retry_after}
        self.code, self.body, self.raw = code, message if raw else json.dumps(status), raw
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}


def overloaded() -> FakeResponse:
    """As API Priority and Fairness refuses a request."""
    return FakeResponse(429, "Too many requests, please try again later.\n", raw=True, retry_after=1)


def shutting_down() -> FakeResponse:
    """As an API server refuses that shuts down; kubectl's own wait is the header's, five seconds, which is too long for a test."""
    return FakeResponse(429, "The apiserver is shutting down, please try again later.\n", raw=True, retry_after=1)


def unavailable(
    message: str = "the server is currently unable to handle the request", retry_after: int | None = 1
) -> FakeResponse:
    """As an aggregated API, or one whose storage is not there yet, refuses a request."""
    return FakeResponse(503, message, retry_after=retry_after)


def strict(body: Json) -> None:
    """As ``fieldValidation=Strict`` does it."""
    if "knative.dev" in body["apiVersion"]:
        unknown = set(body["spec"]) - {"template", "traffic"}
        if unknown:
            raise FakeResponse(400, f'strict decoding error: unknown field "spec.{unknown.pop()}"')
        return
    try:
        kubernetes_validate.validate(body, "1.36", strict=True)
    except kubernetes_validate.ValidationError as error:
        raise FakeResponse(400, f"strict decoding error: {error.message}") from None
