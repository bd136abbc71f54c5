"""Plays the Kubernetes API, as far as ``python -m knative`` asks it: discovery, server-side apply, objects, logs, proxies."""

from __future__ import annotations

import copy
import json
import re
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

from tests.support.clusterkinds import KINDS, NAMESPACE, FakeResponse, Json, default_status, discovery, stamp, strict
from tests.support.serverside import applied

_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)(?:/namespaces/(?P<ns>[^/]+))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?P<rest>/.*)?)?"
)


#: Type of a patch's body -> its media type.
PATCHES: dict[type, str] = {list: "application/json-patch+json", dict: "application/apply-patch+yaml"}


class FakeCluster:
    """One API server. Its fields are the script: change them before or while something asks.

    ``denied``: pairs of verb and resource (``("list", "events")``). ``statuses``: title (``DaemonSet/vaccel-agent``) -> status that
    is laid over the object. ``proxied``: pod, path -> what the pod answers; a 503 has ``Retry-After``, as the function's has.
    ``logs``: pod, container, previous -> text. ``refusals``: pattern of a path -> the response to one request for it, in order.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.objects: dict[tuple[str, str, str, str], Json] = {}
        self.denied: set[tuple[str, str]] = set()
        self.forbidden_by_admission: dict[str, str] = {}
        self.unauthorized = False
        self.refusals: list[tuple[str, FakeResponse]] = []
        self.missing_groups: set[str] = set()
        self.statuses: dict[str, Json] = {}
        self.logs: dict[tuple[str, str, bool], str] = {}
        self.proxied: dict[tuple[str, str], tuple[int, str] | Callable[[], tuple[int, str]]] = {}
        self.tick: Callable[[], None] = lambda: None
        self.lingering = 1  # looks at an object that was deleted, until it is gone
        self.used: set[tuple[str, str]] = set()  # verb and resource, as in denied
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.lock = threading.RLock()
        self._versions = iter(range(1, 10**9))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.address = f"http{'s' if tls else ''}://localhost:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def kubeconfig(self, path: Path, **changes: str) -> Path:
        """A kubeconfig file that leads here."""
        content = {
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": changes.get("server", self.address)}}],
            "users": [{"name": "fake", "user": {"token": "t"}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake", "namespace": NAMESPACE}}],
        }  # fmt: skip
        path.write_text(yaml.safe_dump(content))
        return path

    def add(self, api_version: str, kind: str, name: str, *, namespace: str = NAMESPACE, **fields: Any) -> Json:
        """Puts an object there; ``labels`` and ``created`` (seconds ago) go into its metadata."""
        created = datetime.now(UTC) - timedelta(seconds=fields.pop("created", 0))
        metadata = {
            "name": name, "namespace": namespace, "uid": str(uuid.uuid4()), "labels": fields.pop("labels", {}),
            "creationTimestamp": stamp(created), "resourceVersion": str(next(self._versions)), "generation": 1,
        }  # fmt: skip
        stored: Json = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}
        group, version = api_version.rpartition("/")[::2]
        plural, namespaced = next((p, n) for p, k, n in KINDS[group, version] if k == kind)
        with self.lock:
            self.objects[group, plural, namespace if namespaced else "", name] = stored
        return stored

    def remove(self, plural: str, name: str, group: str = "") -> None:
        with self.lock:
            self.objects.pop((group, plural, NAMESPACE, name), None)

    def event(self, name: str, reason: str, message: str) -> None:
        """An event about an object of a name."""
        self.add(
            "v1", "Event", f"{name}.{len(self.objects)}", involvedObject={"name": name, "namespace": NAMESPACE}, reason=reason,
            message=message, lastTimestamp=stamp(datetime.now(UTC)),
        )  # fmt: skip

    def names(self) -> set[str]:
        """``plural/name`` of all objects."""
        return {f"{plural}/{name}" for _, plural, _, name in self.objects}

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Json | str:
        """The answer to one request. Raises `FakeResponse`."""
        with self.lock:
            self.requests.append((method, path, query))
            if self.unauthorized:
                raise FakeResponse(401, "Unauthorized")
            for refusal in self.refusals:
                if re.search(refusal[0], path):
                    self.refusals.remove(refusal)
                    raise refusal[1]
            return discovery(path, self.missing_groups) or self._request(method, path, query, body)

    def _request(self, method: str, path: str, query: dict[str, str], body: Any) -> Json | str:
        match = _PATH.fullmatch(path)
        if not match:
            raise FakeResponse(404, f"no path {path}")
        group, namespace, plural, name, rest = (match[key] or "" for key in ("group", "ns", "plural", "name", "rest"))
        verb = {"GET": "get" if name else "list", "PATCH": "patch", "DELETE": "delete"}[method]
        resource = f"{plural}{'/' + rest.split('/')[1] if rest else ''}"
        self.used.add((verb, f"{resource}.{group}".rstrip(".")))
        if (verb, f"{resource}.{group}".rstrip(".")) in self.denied:
            where = f' in the namespace "{namespace}"' if namespace else ""
            raise FakeResponse(
                403,
                f'{plural} "{name}" is forbidden: User "bob" cannot {verb} resource "{resource}" in API group "{group}"{where}',
            )
        if rest:
            return self._of_pod(name, rest, query)
        key = (group, plural, namespace, name)
        return {"list": self._list, "get": self._get, "patch": self._patch, "delete": self._delete}[verb](key, query, body)

    def _of_pod(self, name: str, rest: str, query: dict[str, str]) -> str:
        name = name.partition(":")[0]
        if rest == "/log":
            text = self.logs.get((name, query["container"], query.get("previous") == "true"), "")
            lines = text.splitlines(keepends=True)
            return "".join(lines[-int(query["tailLines"]) :] if "tailLines" in query else lines)
        proxied = self.proxied.get((name, rest.removeprefix("/proxy")), (0, ""))
        code, text = proxied() if callable(proxied) else proxied
        if code == 200:
            return text
        raise (
            FakeResponse(code, text, raw=True, retry_after=1 if code == 503 else None)
            if code
            else FakeResponse(503, "error trying to reach service: dial tcp: i/o timeout")
        )

    def _list(self, key: tuple[str, str, str, str], query: dict[str, str], _: Any) -> Json:
        self.tick()
        fields, labels = _selector(query.get("fieldSelector", "")), _selector(query.get("labelSelector", ""))
        items = [
            self._shown(stored)
            for (group, plural, namespace, _), stored in self.objects.items()
            if (group, plural) == key[:2] and key[2] in ("", namespace)
            if all(value in (None, stored["metadata"]["labels"].get(key)) for key, value in labels.items())
            if labels.keys() <= stored["metadata"]["labels"].keys()
            if fields.get("involvedObject.name", stored.get("involvedObject", {}).get("name"))
            == stored.get("involvedObject", {}).get("name")
        ]
        return {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}

    def _get(self, key: tuple[str, str, str, str], _: dict[str, str], __: Any) -> Json:
        stored = self.objects.get(key)
        if stored is not None and "deletionTimestamp" in stored["metadata"]:
            stored["left"] = stored.get("left", self.lingering) - 1
            if stored["left"] < 0:
                stored = self.objects.pop(key) and None
        if stored is None:
            raise FakeResponse(404, f'{key[1]} "{key[3]}" not found')
        return self._shown(stored)

    def _shown(self, stored: Json) -> Json:
        status = self.statuses.get(f"{stored['kind']}/{stored['metadata']['name']}") or default_status(stored)
        seen = {"observedGeneration": stored["metadata"]["generation"]}
        return {**stored, "status": {**seen, **stored.get("status", {}), **status}}

    def _patch(self, key: tuple[str, str, str, str], query: dict[str, str], body: Any) -> Json:
        before = self.objects.get(key)
        if isinstance(body, list):  # a JSON patch
            return self._stored(key, before, _replaced(before or {}, body), query)
        title = f"{body['kind']}/{key[3]}"
        if title in self.forbidden_by_admission:
            raise FakeResponse(403, f'{key[1]} "{key[3]}" is forbidden: {self.forbidden_by_admission[title]}')
        if key[2] and ("", "namespaces", "", key[2]) not in self.objects:
            raise FakeResponse(404, f'namespaces "{key[2]}" not found')
        if query.get("fieldValidation") == "Strict":
            strict(body)
        live = before
        if live is None:
            live = self.add(body["apiVersion"], body["kind"], key[3], namespace=key[2])
            self.objects.pop(key)
        merged = applied(live, body, query["fieldManager"], force=query.get("force") == "true")
        return self._stored(key, before, merged, query)

    def _stored(self, key: tuple[str, str, str, str], before: Json | None, after: Json, query: dict[str, str]) -> Json:
        if before is not None and after == before:
            return self._shown(before)
        if before is not None and query.get("dryRun") != "All":
            after["metadata"]["resourceVersion"] = str(next(self._versions))
        if before is not None and after.get("spec") != before.get("spec"):
            after["metadata"]["generation"] += 1
        if query.get("dryRun") != "All":
            self.objects[key] = after
        return self._shown(after)

    def _delete(self, key: tuple[str, str, str, str], _: dict[str, str], body: Json) -> Json:
        stored = self.objects.get(key)
        if stored is None:
            raise FakeResponse(404, f'{key[1]} "{key[3]}" not found')
        if (body or {}).get("preconditions", {}).get("uid") not in (None, stored["metadata"]["uid"]):
            raise FakeResponse(409, "the uid is another one")
        stored["metadata"]["deletionTimestamp"] = stamp(datetime.now(UTC))
        return self._shown(stored)


def _selector(text: str) -> dict[str, str | None]:
    """None: any value will do."""
    return {part.partition("=")[0]: part.partition("=")[2] or None for part in text.split(",") if part}


def _replaced(obj: Json, operations: list[Json]) -> Json:
    """The object after a JSON patch of the operations test and replace."""
    result = copy.deepcopy(obj)
    for operation in operations:
        *parents, last = operation["path"].strip("/").split("/")
        at = result
        for name in parents:
            at = at[name]
        if operation["op"] == "test" and at.get(last) != operation["value"]:
            raise FakeResponse(422, "the server rejected our request due to an error in our request")
        at[last] = operation["value"]
    return result


def _handler(cluster: FakeCluster) -> type[BaseHTTPRequestHandler]:
    class ApiHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                body = json.loads(text) if text else None
                if self.command == "PATCH" and self.headers["Content-Type"] != PATCHES[type(body)]:
                    raise FakeResponse(415, f"the body of the request was in an unknown format - {self.headers['Content-Type']}")
                response = cluster.answer(self.command, parts.path, dict(parse_qsl(parts.query)), body)
                self._send(200, response if isinstance(response, str) else json.dumps(response), isinstance(response, dict), {})
            except FakeResponse as answer:
                self._send(answer.code, answer.body, not answer.raw, answer.headers)

        do_GET = do_PATCH = do_DELETE = do_POST = _answer  # noqa: N815 the server's names

        def _send(self, code: int, text: str, is_json: bool, headers: dict[str, str]) -> None:
            data = text.encode()
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json" if is_json else "text/plain")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    return ApiHandler


@contextmanager
def fake_cluster(tls: ssl.SSLContext | None = None) -> Iterator[FakeCluster]:
    """A cluster with Knative 1.19 and one namespace."""
    cluster = FakeCluster(tls)
    cluster.add("v1", "Namespace", NAMESPACE)
    cluster.add(
        "apps/v1", "Deployment", "controller", namespace="knative-serving", labels={"app.kubernetes.io/version": "1.19.0"}
    )
    try:
        yield cluster
    finally:
        cluster.stop()
