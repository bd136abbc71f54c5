"""Where the cluster is and who asks: a kubeconfig, or the service account of the pod. Knows the Kubernetes client."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3
import yaml

from knative.cluster.errors import NotConfigured

if TYPE_CHECKING:
    from kubernetes.client import Configuration

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_HOME = Path("~/.kube/config")


@dataclass(frozen=True)
class ClusterConnection:
    """``who`` is asking, for messages; ``namespace`` is the one that the kubeconfig's context or the pod is in."""

    configuration: Configuration
    namespace: str
    who: str


def connection(kubeconfig: str | None = None, context: str | None = None) -> ClusterConnection:
    """A kubeconfig where there is one, else the pod's service account. Raises `NotConfigured`."""
    _import_client()
    if kubeconfig or context or os.environ.get("KUBECONFIG") or _HOME.expanduser().exists():
        made = _from_kubeconfig(kubeconfig, context)
    elif os.environ.get("KUBERNETES_SERVICE_HOST"):
        made = _from_pod()
    else:
        raise NotConfigured(
            f"no cluster is configured: KUBECONFIG is not set, there is no {_HOME}, and this is not a pod; give --kubeconfig FILE"
        )
    # Not the connecting, or an address that drops packets would take minutes; a reused connection may have ended meanwhile.
    made.configuration.retries = urllib3.Retry(1, connect=0, read=1, redirect=0, status=0, other=0)  # type: ignore[assignment]
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it would tell of every try
    return made


def _import_client() -> None:
    """Without kubernetes-validate, which the client loads where it is installed: a second, for something that is not used here."""
    modules: dict[str, Any] = sys.modules
    if "kubernetes" not in modules and "kubernetes_validate" not in modules:
        modules["kubernetes_validate"] = None
        try:
            importlib.import_module("kubernetes")
        finally:
            del modules["kubernetes_validate"]


def _from_kubeconfig(path: str | None, context: str | None) -> ClusterConnection:
    from kubernetes import client, config

    configuration = client.Configuration()
    named = path or os.environ.get("KUBECONFIG") or str(_HOME)
    try:
        with _heard() as errors:
            config.load_kube_config(config_file=named, context=context, client_configuration=configuration)
            contexts, active = config.list_kube_config_contexts(config_file=named)
        if errors:
            raise ValueError("; ".join(errors))
    except (config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, AttributeError) as error:
        raise NotConfigured(
            f"the kubeconfig {named} cannot be used: {str(error).rstrip('.')}; {_advice(path, context)}"
        ) from None
    chosen: Any = next((found for found in contexts if found["name"] == context), active)
    return ClusterConnection(
        configuration, chosen["context"].get("namespace") or "default", f"context {chosen['name']} of {named}"
    )


@contextlib.contextmanager
def _heard() -> Iterator[list[str]]:
    """What the client only logs: that a program which should give the credentials has failed."""
    handler = logging.Handler(logging.ERROR)
    found: list[str] = []
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        yield found
    finally:
        logging.getLogger().removeHandler(handler)


def _advice(path: str | None, context: str | None) -> str:
    if context:
        return "see its contexts: kubectl config get-contexts"
    return "give another file" if path else "give --kubeconfig FILE or --context NAME"


def _from_pod() -> ClusterConnection:
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        # By its class: the function of the package knows one folder only.
        from kubernetes.config.incluster_config import InClusterConfigLoader  # type: ignore[attr-defined]

        loader = InClusterConfigLoader(token_filename=str(_ACCOUNT / "token"), cert_filename=str(_ACCOUNT / "ca.crt"))
        loader.load_and_set(configuration)
    except (config.ConfigException, OSError) as error:
        raise NotConfigured(
            f"this pod's service account cannot be used: {error} Let the pod have its token (automountServiceAccountToken: true)"
        ) from None
    try:
        namespace = (_ACCOUNT / "namespace").read_text().strip()
    except OSError:
        namespace = "default"
    return ClusterConnection(configuration, namespace, "this pod's service account")
