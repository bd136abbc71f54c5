"""Kubernetes objects held against their published schemas and against the project's policy."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from tests.support.optional import shared

#: The cluster that everything is meant for.
VERSION = "1.36"
#: Kind -> file with its CustomResourceDefinition.
_CUSTOM = {
    "serving.knative.dev/Service": "knative-serving-service.yaml",
    "eventing.knative.dev/Broker": "knative-eventing-broker.yaml",
    "eventing.knative.dev/Trigger": "knative-eventing-trigger.yaml",
    "monitoring.coreos.com/PodMonitor": "prometheus-operator-podmonitors.yaml",
    "keda.sh/ScaledObject": "keda-scaledobject.yaml",
}
#: Its schema is not among those that were published with the project's specifications.
_UNCHECKED = ("monitoring.coreos.com/ServiceMonitor",)
_LABELS = ("name", "instance", "version", "part-of")

Object = dict[str, Any]


def read(text: str) -> list[Object]:
    """The objects in YAML."""
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def schema_problems(manifest: Object, version_of_cluster: str = VERSION) -> list[str]:
    """What strict validation by the API server of that version would refuse. Skips the test where a CRD is needed and not here."""
    group, _, version = manifest["apiVersion"].rpartition("/")
    kind = f"{group}/{manifest['kind']}"
    if kind in _UNCHECKED:
        return []
    if kind in _CUSTOM:
        checker = jsonschema.Draft7Validator(_custom(kind, version))
        return [f"{error.json_path}: {error.message}" for error in checker.iter_errors(manifest)]
    try:
        kubernetes_validate.validate(manifest, version_of_cluster, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{error.path}: {error.message}"]
    except kubernetes_validate.SchemaNotFoundError:
        return [f"Kubernetes {version_of_cluster} has no {manifest['kind']} of {manifest['apiVersion']}"]
    return []


@functools.cache
def _custom(kind: str, version: str) -> Any:
    versions = yaml.safe_load(shared(f"schemas/{_CUSTOM[kind]}").read_text())["spec"]["versions"]
    (served,) = [each for each in versions if each["name"] == version and each["served"]]
    schema = served["schema"]["openAPIV3Schema"]
    # What every object has; the CRD leaves it to the API server.
    schema["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": _METADATA}
    return closed(schema)


_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_METADATA = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "namespace": {"type": "string"}, "labels": _TEXTS, "annotations": _TEXTS},
}


def closed(schema: Any) -> Any:
    """A CRD's schema in which unknown fields fail; the metadata is Kubernetes' own."""
    if not isinstance(schema, dict):
        return schema
    strict = {name: closed(value) for name, value in schema.items()}
    if isinstance(strict.get("properties"), dict) and strict["properties"] and "additionalProperties" not in strict:
        strict["additionalProperties"] = False
    return strict


def policy_problems(manifest: Object) -> list[str]:
    """What the project does not deploy: see the functions below."""
    problems = [f"metadata.labels: no app.kubernetes.io/{name}" for name in _LABELS if not _labelled(manifest, name)]
    pod = _pod(manifest)
    if pod is None:
        return problems
    metadata, spec = pod
    problems += [f"pod labels: no app.kubernetes.io/{name}" for name in _LABELS if not _labelled({"metadata": metadata}, name)]
    problems += _pod_problems(spec, knative=manifest["apiVersion"].startswith("serving."))
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        problems += [f"{container['name']}: {problem}" for problem in _container_problems(container)]
    if manifest["apiVersion"].startswith("serving."):
        problems += _stream_problems(metadata, spec)
    return [*problems, *_probe_problems(manifest, spec)]


def _labelled(manifest: Object, name: str) -> bool:
    return bool(manifest["metadata"].get("labels", {}).get(f"app.kubernetes.io/{name}"))


def _pod(manifest: Object) -> tuple[Object, Object] | None:
    if manifest["kind"] == "Pod":
        return manifest["metadata"], manifest["spec"]
    template = manifest.get("spec", {}).get("template")
    return (template["metadata"], template["spec"]) if template else None


def _pod_problems(spec: Object, *, knative: bool) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield f"{name} is set"
    for name in ("automountServiceAccountToken", "enableServiceLinks"):
        if spec.get(name) is not False:
            yield f"{name} is not false"
    # Knative allows a pod's securityContext behind a flag alone; its containers say it all.
    if not knative and spec.get("securityContext", {}).get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "securityContext.seccompProfile is not RuntimeDefault"


def _container_problems(container: Object) -> Iterator[str]:
    security = container.get("securityContext", {})
    required = {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "runAsNonRoot": True}
    for name, value in required.items():
        if security.get(name) is not value:
            yield f"securityContext.{name} is not {str(value).lower()}"
    if security.get("privileged") or security.get("capabilities") != {"drop": ["ALL"]}:
        yield "it has privileges"
    if not security.get("runAsUser"):
        yield "it may run as root"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "seccompProfile is not RuntimeDefault"
    resources = container.get("resources", {})
    if not {"cpu", "memory"} <= set(resources.get("requests", {})) or "memory" not in resources.get("limits", {}):
        yield "requests of cpu and memory and a limit of memory are needed"
    name = container["image"].rpartition("/")[2]
    if "@sha256:" not in name and (":" not in name or name.endswith(":latest")):
        yield f"image {container['image']} is not fixed by tag or digest"


def _stream_problems(metadata: Object, spec: Object) -> Iterator[str]:
    """Knative passes lines of a stream both ways at once only over HTTP/1.1 and where the revision asks for it."""
    annotation = "features.knative.dev/http-full-duplex"
    # The activator compares it exactly.
    if metadata.get("annotations", {}).get(annotation) != "Enabled":
        yield f'the revision\'s annotation {annotation} is not "Enabled"'
    if [port.get("name") for port in spec["containers"][0].get("ports", [])] != ["http1"]:
        yield f"{spec['containers'][0]['name']}: its port is not named http1"


def _probe_problems(manifest: Object, spec: Object) -> Iterator[str]:
    """An agent that serves others has three probes, a function two. A client ends by itself; a sidecar is seen through its function."""
    needed: tuple[str, ...] = ()
    if manifest["apiVersion"].startswith("serving."):
        needed = ("readinessProbe", "livenessProbe")
    elif spec["containers"][0]["name"] == "vaccel-agent" and manifest["kind"] in ("DaemonSet", "Deployment"):
        needed = ("startupProbe", "readinessProbe", "livenessProbe")
    for name in needed:
        if name not in spec["containers"][0]:
            yield f"{spec['containers'][0]['name']}: no {name}"


def uses_host_path(manifest: Object) -> bool:
    """Whether the restricted Pod Security profile refuses it for a folder of the node."""
    pod = _pod(manifest)
    return pod is not None and any("hostPath" in volume for volume in pod[1].get("volumes", []))
