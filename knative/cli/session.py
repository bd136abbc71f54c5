"""One run of a command: the cluster that it works with, and where its output goes."""

from __future__ import annotations

from functools import cached_property

from knative.apply.manifests import ManifestError, misplaced
from knative.cli.output import Output
from knative.cluster.api import Cluster
from knative.cluster.connect import ClusterConnection, connect
from knative.cluster.objects import Json


class CommandSession:
    """Connects when the cluster is first needed.

    ``document`` is what ``--json`` prints, of a command that failed too.
    """

    def __init__(self, output: Output, kubeconfig: str | None, context: str | None, namespace: str | None) -> None:
        self.output, self.document = output, Json()
        self._kubeconfig, self._context, self._namespace = kubeconfig, context, namespace

    @cached_property
    def connection(self) -> ClusterConnection:
        """How the cluster is reached. Raises `NotConfigured`."""
        return connect(self._kubeconfig, self._context)

    @cached_property
    def cluster(self) -> Cluster:
        """The cluster with the command's namespace. Raises `KnativeError`."""
        return Cluster(self.connection, self._namespace)

    @property
    def chosen(self) -> bool:
        """Whether the command line names a cluster."""
        return bool(self._kubeconfig or self._context)

    def fit(self, objects: list[Json]) -> list[Json]:
        """The same objects.

        Raises `ManifestError` where one of them belongs to another namespace.
        """
        wrong = misplaced(objects, self.cluster.namespace)
        if wrong:
            raise ManifestError(f"{wrong}: give -n")
        return objects
