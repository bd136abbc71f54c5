"""Which cluster, and with whose rights: a kubeconfig, or the service account of the pod.

Uses the Kubernetes client.
"""

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
    """How the cluster is reached.

    ``who``: the credentials, for messages; ``namespace``: of the kubeconfig's context or the pod.
    """

    configuration: Configuration
    namespace: str
    who: str


def connect(kubeconfig: str | None = None, context: str | None = None) -> ClusterConnection:
    """Uses a kubeconfig where there is one, else the pod's service account.

    Raises `NotConfigured`.
    """
    _import_client()
    if kubeconfig or context or os.environ.get("KUBECONFIG") or _HOME.expanduser().exists():
        connection = _from_kubeconfig(kubeconfig, context)
    elif os.environ.get("KUBERNETES_SERVICE_HOST"):
        connection = _from_pod()
    else:
        raise NotConfigured(
            f"no cluster is configured: KUBECONFIG is not set, there is no {_HOME}, and this is not a pod; give --kubeconfig FILE"
        )
    # One retry of a read, since a reused connection may have ended; none of connecting, or an
    # address that drops packets takes minutes. Retry-After is left to `Cluster`: a pod's own, which
    # comes through the API server's proxy, is no reason to ask again.
    connection.configuration.retries = urllib3.Retry(  # type: ignore[assignment]
        1, connect=0, read=1, redirect=0, status=0, other=0, respect_retry_after_header=False
    )
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it logs every retry
    return connection


def _import_client() -> None:
    """Imports the client without kubernetes-validate, which it would load where installed: a second
    for something unused here.
    """
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
    file = path or os.environ.get("KUBECONFIG") or str(_HOME)
    try:
        with _logged_errors() as errors:
            config.load_kube_config(config_file=file, context=context, client_configuration=configuration)
            contexts, active = config.list_kube_config_contexts(config_file=file)
        if errors:
            raise ValueError("; ".join(errors))
    except (config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, AttributeError) as error:
        raise NotConfigured(f"the kubeconfig {file} cannot be used: {str(error).rstrip('.')}; {_advice(path, context)}") from None
    chosen: Any = next((entry for entry in contexts if entry["name"] == context), active)
    return ClusterConnection(
        configuration, chosen["context"].get("namespace") or "default", f"context {chosen['name']} of {file}"
    )


@contextlib.contextmanager
def _logged_errors() -> Iterator[list[str]]:
    """What the client only logs: that a program that should supply the credentials has failed."""
    handler = logging.Handler(logging.ERROR)
    messages: list[str] = []
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        yield messages
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
