"""One run of a command: the cluster it speaks to, and where its words go."""

from __future__ import annotations

from functools import cached_property

from knative.apply.manifests import ManifestError, misplaced
from knative.cli.output import Output
from knative.cluster.api import Cluster
from knative.cluster.connect import ClusterConnection, connection
from knative.cluster.objects import Json


class CommandSession:
    """Connects when the cluster is first needed. ``document`` is what ``--json`` shows, of a command that failed too."""

    def __init__(self, output: Output, kubeconfig: str | None, context: str | None, namespace: str | None) -> None:
        self.output, self.document = output, Json()
        self._kubeconfig, self._context, self._namespace = kubeconfig, context, namespace

    @cached_property
    def connection(self) -> ClusterConnection:
        """Raises `NotConfigured`."""
        return connection(self._kubeconfig, self._context)

    @cached_property
    def cluster(self) -> Cluster:
        """Raises `KnativeError`."""
        return Cluster(self.connection, self._namespace)

    @property
    def chosen(self) -> bool:
        """Whether a cluster was named on the command line."""
        return bool(self._kubeconfig or self._context)

    def fit(self, objects: list[Json]) -> list[Json]:
        """The objects, which must not belong to another namespace. Raises `ManifestError`."""
        wrong = misplaced(objects, self.cluster.namespace)
        if wrong:
            raise ManifestError(f"{wrong}: give -n")
        return objects
