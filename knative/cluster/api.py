"""The part of the Kubernetes API that the commands need.

Only this module and `connect` use the client.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import urllib3

from knative.cluster.errors import KnativeError, NotInstalled, Unreachable
from knative.cluster.objects import MANAGER, POD, Json, ResourceKind, kind_of, name_of, renamed_managers
from knative.cluster.refusals import ApiCall, message, refusal
from knative.cluster.retries import body_of, from_pod, patiently

if TYPE_CHECKING:
    from knative.cluster.connect import ClusterConnection

_TIMEOUT = (5.0, 30.0)  # seconds to connect, and for the response
_POD_TIMEOUT = (5.0, 4.0)  # a pod that a NetworkPolicy hides never responds
#: A path that cannot exist: the client's cache of a cluster's kinds would be a file of a known name
#: in /tmp, and out of date.
_NO_CACHE = f"{os.devnull}/none"


class Cluster:
    """One namespace of a cluster. Objects are dicts. Every method raises `KnativeError`."""

    def __init__(self, connection: ClusterConnection, namespace: str | None = None) -> None:
        self.namespace = namespace or connection.namespace
        self._server, self._who = connection.configuration.host, connection.who
        self._client = self._connect(connection)

    def _connect(self, connection: ClusterConnection) -> Any:
        from kubernetes import client, dynamic

        class _ClientWithTimeout(dynamic.DynamicClient):  # type: ignore[misc, name-defined] # it has no types
            def request(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
                params.setdefault("_request_timeout", _TIMEOUT)
                request = super().request
                try:
                    return patiently(
                        lambda: request(method, path, body, **params), client.ApiException, through_proxy="/proxy/" in path
                    )
                except dynamic.exceptions.ServiceUnavailableError as error:
                    # As itself the client's discovery would take it for a group without kinds.
                    raise dynamic.exceptions.DynamicApiError(error) from None

        try:
            client_or_none = self._call_api(
                ApiCall("get", "/apis"),
                lambda: _ClientWithTimeout(client.ApiClient(connection.configuration), cache_file=_NO_CACHE),
            )
        except (ValueError, AttributeError, TypeError):  # what the client raises for a web page
            client_or_none = None
        if client_or_none is None:
            raise Unreachable(f"{self._server} does not respond as a Kubernetes API does; {_REACH}")
        return client_or_none

    def has(self, kind: ResourceKind) -> bool:
        """Whether the cluster has this kind of object."""
        return self._lookup(kind) is not None

    def resource(self, kind: ResourceKind) -> Any:
        """The client's description of a kind. Raises `NotInstalled`."""
        description = self._lookup(kind)
        if description is None and kind.group.endswith("knative.dev"):
            part = "Serving" if kind.group.startswith(("serving.", "autoscaling.")) else "Eventing"
            raise NotInstalled(
                f"Knative {part} is not installed at {self._server} (it has no {kind.api_version} {kind.kind}): "
                "install it first, https://knative.dev/docs/install"
            )
        if description is None:
            raise NotInstalled(
                f"{self._server} has no {kind.api_version} {kind.kind}: install its CRD, or leave such objects out (-f FILE)"
            )
        return description

    def get(self, kind: ResourceKind, name: str, namespace: str | None = None) -> Json | None:
        """One object; None where it does not exist."""
        resource = self.resource(kind)
        place = self._place(resource, namespace)
        obj: Json | None = self._call_api(
            self._call("get", resource, place, name), lambda: resource.get(name=name, namespace=place, serializer=_plain)
        )
        return obj

    def find(self, kind: ResourceKind, *, labels: str = "", fields: str = "") -> list[Json]:
        """The objects of a kind in the namespace that match the label and field selectors."""
        resource = self.resource(kind)
        place = self._place(resource, None)
        objects = self._call_api(
            self._call("list", resource, place),
            lambda: resource.get(
                namespace=place, label_selector=labels or None, field_selector=fields or None, serializer=_plain
            ),
        )
        return [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in (objects or {}).get("items") or []]

    def apply(self, obj: Json, *, dry_run: bool = False) -> Json:
        """Server-side apply, by force and strictly: unknown fields are rejected.

        The resulting object.
        """
        resource = self.resource(kind_of(obj))
        place = self._place(resource, obj["metadata"].get("namespace"))
        query = [("fieldManager", MANAGER), ("fieldValidation", "Strict"), ("force", "true")]
        call = self._call("patch", resource, place, name_of(obj))
        applied: Json | None = self._call_api(
            call,
            lambda: resource.server_side_apply(
                body=obj,
                namespace=place,
                serializer=_plain,
                query_params=query + ([("dryRun", "All")] if dry_run else []),
            ),
        )
        if applied is None:
            raise Unreachable(f"{self._server} does not know where to put {call.what} (404); try again")
        return applied

    def adopt(self, obj: Json) -> None:
        """Makes what version 0.2 of `deploy` has applied this version's."""
        fields = renamed_managers(obj)
        if fields is None:
            return
        resource = self.resource(kind_of(obj))
        place = self._place(resource, obj["metadata"].get("namespace"))
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": obj["metadata"]["resourceVersion"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": fields},
        ]
        json_patch = "application/json-patch+json"
        self._call_api(
            self._call("patch", resource, place, name_of(obj)),
            lambda: resource.patch(body=patch, name=name_of(obj), namespace=place, content_type=json_patch, serializer=_plain),
        )

    def delete(self, kind: ResourceKind, name: str, namespace: str | None, uid: str) -> None:
        """Deletes the object with this uid, after everything that it owns.

        It is no error if it does not exist.
        """
        resource = self.resource(kind)
        place = self._place(resource, namespace)
        body = {"propagationPolicy": "Foreground", "preconditions": {"uid": uid}} if uid else {"propagationPolicy": "Foreground"}
        self._call_api(
            self._call("delete", resource, place, name),
            lambda: resource.delete(name=name, namespace=place, body=body, serializer=_plain),
        )

    def log(self, pod: str, container: str, *, lines: int | None = None, previous: bool = False) -> str:
        """The log of a container; ``previous``: the log before its last restart."""
        query = [("container", container), ("previous", "true" if previous else "false")]
        query += [("tailLines", str(lines))] if lines else []
        call = ApiCall("get", "pods/log", self.namespace, pod)
        return self._call_api(call, lambda: self._raw(f"{pod}/log", query)) or ""

    def through(self, pod: str, port: int, path: str) -> str:
        """The body of a pod's response on a port, through the API server's proxy; also of an error
        response of the pod.
        """
        from kubernetes.client import ApiException

        def request() -> str:
            try:
                return self._raw(f"{pod}:{port}/proxy{path}", [])
            except ApiException as error:
                if not from_pod(error):
                    raise
                return body_of(error)

        return self._call_api(ApiCall("get", "pods/proxy", self.namespace, pod), request) or ""

    def _raw(self, path: str, query: list[tuple[str, str]]) -> str:
        path = f"{self.resource(POD).path(namespace=self.namespace)}/{path}"
        # Any type: by default the client requests JSON, and reads a log of one JSON line as an
        # object.
        accept = {"Accept": "*/*"}
        response = self._client.request(
            "get", path, query_params=query, header_params=accept, serialize=False, _request_timeout=_POD_TIMEOUT
        )
        return bytes(response.data).decode(errors="replace")

    def _lookup(self, kind: ResourceKind) -> Any:
        from kubernetes.dynamic.exceptions import (  # type: ignore[import-untyped]
            ResourceNotFoundError,
            ResourceNotUniqueError,
        )

        def search() -> Any:
            try:
                return self._client.resources.get(
                    prefix="apis" if kind.group else "api", group=kind.group, api_version=kind.version, kind=kind.kind
                )
            except (ResourceNotFoundError, ResourceNotUniqueError):
                return None

        return self._call_api(ApiCall("get", f"/apis/{kind.api_version}"), search)

    def _place(self, resource: Any, namespace: str | None) -> str | None:
        return (namespace or self.namespace) if resource.namespaced else None

    def _call(self, verb: str, resource: Any, namespace: str | None, name: str = "") -> ApiCall:
        return ApiCall(verb, f"{resource.name}.{resource.group}" if resource.group else resource.name, namespace or "", name)

    def _call_api(self, call: ApiCall, request: Any) -> Any:
        """What ``request`` returns; None where the object does not exist."""
        from kubernetes.client import ApiException

        try:
            return request()
        except ApiException as error:
            body = body_of(error)
            if error.status == 404 and 'namespaces "' not in message(body):
                return None
            raise self._refusal(call, error.status or 0, body) from None
        except urllib3.exceptions.HTTPError as error:
            if isinstance(getattr(error, "reason", error), urllib3.exceptions.ReadTimeoutError):
                raise Unreachable(f"{self._server} did not respond in time to {call.verb} {call.what}") from None
            raise Unreachable(f"the cluster cannot be reached at {self._server}: {reason_of(error)}; {_REACH}") from None

    def _refusal(self, call: ApiCall, status: int, body: str) -> KnativeError:
        if not status:
            return Unreachable(f"the cluster cannot be reached at {self._server}: {body}; {_REACH}")
        return refusal(call, status, body, self._server, self._who)


_REACH = "is it running, and is it the right --context?"


def reason_of(error: Exception) -> str:
    """Why a connection failed, without the words that the client puts around it."""
    cause = getattr(error, "reason", None) or error
    text = str(cause)
    return text.rpartition(": ")[2] if isinstance(cause, urllib3.exceptions.NewConnectionError) else text


def _plain(_: Any, response: Any) -> Any:
    return response
