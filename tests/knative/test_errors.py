"""``python -m knative`` without a cluster, without rights, without Knative: one line, and what to do."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from knative.cluster import connect
from knative.cluster.api import Cluster
from knative.cluster.errors import Forbidden, NotConfigured, Rejected, Unreachable
from knative.cluster.objects import POD
from knative.cluster.refusals import ApiCall, refusal
from tests.support.certificates import certificate
from tests.support.clustercommand import knative, quickly
from tests.support.clusterkinds import NAMESPACE, FakeResponse, overloaded, shutting_down, unavailable
from tests.support.clusterobjects import add_agent
from tests.support.fakecluster import FakeCluster, fake_cluster
from tests.support.optional import needs_program


def fails(*arguments: str, kubeconfig: Path | None, run: Any = quickly) -> str:
    """The one line that a command fails with; without a kubeconfig it is a process of its own."""
    done = run(*arguments, kubeconfig=kubeconfig) if kubeconfig else knative(*arguments, kubeconfig=None)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.fullmatch(r"knative: [^\n]+\n", done.stderr), done.stderr
    return done.stderr.removeprefix("knative: ").strip()


def test_no_cluster_is_configured(tmp_path: Path) -> None:
    """Or the kubeconfig, or its context, is not there or is none; with --json there is a document too."""
    assert "no cluster is configured" in fails("status", kubeconfig=None)
    done = knative("status", "--json", kubeconfig=None)
    assert json.loads(done.stdout)["error"] == done.stderr.removeprefix("knative: ").strip()
    assert f"the kubeconfig {tmp_path}/none cannot be used" in fails(
        "status", "--kubeconfig", f"{tmp_path}/none", kubeconfig=None
    )
    for text in ("", "a: [", "just text", "apiVersion: v1\nkind: Config\n"):
        (tmp_path / "bad").write_text(text)
        assert "cannot be used" in fails("status", kubeconfig=tmp_path / "bad")
    assert "cannot be used" in fails("status", kubeconfig=tmp_path / "bad", run=knative)


def test_a_context_that_is_not_there(config: Path) -> None:
    """The message names the context that does not exist."""
    line = fails("status", "--context", "other", kubeconfig=config)
    assert "other" in line
    assert "kubectl config get-contexts" in line


def test_a_program_that_gives_no_credentials(cluster: FakeCluster, config: Path) -> None:
    """The message says that the kubeconfig's program gave no credentials."""
    content = yaml.safe_load(config.read_text())
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": "false", "interactiveMode": "Never"}
    content["users"][0]["user"] = {"exec": command}
    config.write_text(yaml.safe_dump(content))
    assert "cannot be used: exec: process returned 1" in fails("status", kubeconfig=config, run=knative)
    assert not cluster.requests


def test_the_cluster_cannot_be_reached(cluster: FakeCluster, tmp_path: Path) -> None:
    """Its address is named; something else that listens there is no cluster."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        line = fails("status", kubeconfig=cluster.kubeconfig(tmp_path / "c", server=address), run=knative)
        assert line.startswith(f"the cluster cannot be reached at {address}: ")
        assert "Connection refused" in line


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, *_: object) -> None:
        pass


def test_something_that_is_no_cluster(cluster: FakeCluster, tmp_path: Path) -> None:
    """The message says that the server is not a cluster."""
    server = HTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    assert f"{address} does not respond as a Kubernetes API does" in fails(
        "status", kubeconfig=cluster.kubeconfig(tmp_path / "c", server=address)
    )
    server.shutdown()
    server.server_close()


def test_who_asks_is_not_known(cluster: FakeCluster, config: Path) -> None:
    """A refused identity is reported with its context."""
    cluster.unauthorized = True
    assert f"{cluster.address} does not accept the credentials (context fake of {config})" in fails("status", kubeconfig=config)


def test_missing_rights_are_named(cluster: FakeCluster, config: Path) -> None:
    """The message names verb, resource and namespace."""
    cluster.denied = {("patch", "daemonsets.apps")}
    line = fails("deploy", "agent", kubeconfig=config, run=knative)
    assert line.startswith(f'needs the right to patch daemonsets.apps in namespace {NAMESPACE} (as "bob")')
    cluster.denied = {("list", "pods")}
    assert f"needs the right to list pods in namespace {NAMESPACE}" in fails("status", kubeconfig=config)
    assert f"needs the right to list pods in namespace {NAMESPACE}" in fails("verify", kubeconfig=config)
    cluster.denied = {("delete", "daemonsets.apps")}
    assert quickly("deploy", "agent", "--no-wait", kubeconfig=config).returncode == 0
    assert "needs the right to delete daemonsets.apps" in fails("undeploy", "agent", "-y", kubeconfig=config)


def test_admission_is_not_a_right(cluster: FakeCluster, config: Path) -> None:
    """Pod Security and quotas answer 403 too; a namespace that is not there, 404."""
    cluster.forbidden_by_admission["DaemonSet/vaccel-agent"] = "exceeded quota: q"
    line = fails("deploy", "agent", kubeconfig=config)
    assert line == 'daemonsets.apps/vaccel-agent was refused: daemonsets "vaccel-agent" is forbidden: exceeded quota: q'
    assert fails("deploy", "-n", "none", kubeconfig=config) == "there is no namespace none: kubectl create namespace none"


def test_without_knative(cluster: FakeCluster, config: Path) -> None:
    """Nothing is applied where the function is to be; agents alone need no Knative, nor does looking at them."""
    cluster.missing_groups = {"serving.knative.dev", "autoscaling.internal.knative.dev"}
    assert "Knative Serving is not installed" in fails("deploy", kubeconfig=config, run=knative)
    assert not [request for request in cluster.requests if request[0] == "PATCH"]
    assert "Knative Serving is not installed" in fails("verify", kubeconfig=config)
    assert quickly("deploy", "agent", "--poll-s", "0.05", kubeconfig=config).returncode == 0
    looked = quickly("status", kubeconfig=config)
    assert (looked.returncode, "Knative Serving is not installed" in looked.stderr) == (0, True)
    assert quickly("undeploy", "--yes", "--poll-s", "0.05", kubeconfig=config).returncode == 0


@pytest.mark.parametrize(
    ("label", "old"), [("1.9.0", True), ("v1.14.3", True), ("1.15.0", False), ("v2.0.1", False), ("20260101-abc", False)]
)
def test_old_knative(cluster: FakeCluster, config: Path, label: str, old: bool) -> None:
    """Found and needed are named; a version that is no number is not held against it."""
    (controller,) = (stored for stored in cluster.objects.values() if stored["kind"] == "Deployment")
    controller["metadata"]["labels"] = {"app.kubernetes.io/version": label}
    if old:
        line = fails("deploy", "function", "--no-wait", kubeconfig=config)
        assert line == f"Knative Serving {label} is too old: 1.15 or newer is needed; upgrade it"
    else:
        assert quickly("deploy", "function", "--no-wait", kubeconfig=config).returncode == 0


def test_a_version_that_may_not_be_read(cluster: FakeCluster, config: Path) -> None:
    """Is not checked; --verbose says why. The namespace's label does where the controller's may not be read."""
    cluster.denied = {("get", "deployments.apps"), ("get", "namespaces")}
    done = quickly("deploy", "function", "--no-wait", "--verbose", kubeconfig=config)
    assert done.returncode == 0
    assert "needs the right to get deployments.apps in namespace knative-serving" in done.stderr
    assert "not checked" in done.stderr
    cluster.denied = {("get", "deployments.apps")}
    cluster.add("v1", "Namespace", "knative-serving", labels={"app.kubernetes.io/version": "1.8.0"})
    assert "1.8.0 is too old" in fails("deploy", "function", "--no-wait", kubeconfig=config)


@needs_program("openssl", "openssl")
def test_in_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a kubeconfig the pod's account is taken, with its namespace; without its token, or with another authority, it says so."""
    server, other = certificate(tmp_path, "server"), certificate(tmp_path, "other")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(str(server.cert), server.key)
    monkeypatch.setattr(connect, "_ACCOUNT", tmp_path)
    monkeypatch.setattr(connect, "_HOME", tmp_path / "none")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with fake_cluster(tls) as cluster:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "localhost")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", cluster.address.rpartition(":")[2])
        with pytest.raises(NotConfigured, match="automountServiceAccountToken"):
            connect.connect()
        for name, text in (("token", "t"), ("ca.crt", Path(str(server.ca)).read_text()), ("namespace", NAMESPACE)):
            (tmp_path / name).write_text(text)
        connected = Cluster(connect.connect())
        assert (connected.namespace, connected.find(POD)) == (NAMESPACE, [])
        (tmp_path / "ca.crt").write_text(Path(str(other.ca)).read_text())
        with pytest.raises(Unreachable, match=f"cannot be reached at {cluster.address}: .*certificate verify failed"):
            Cluster(connect.connect())


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (403, '{"message": "nodes is forbidden: User \\"x\\" cannot list resource \\"nodes\\" in API group \\"\\" at the cluster scope"}',
         Forbidden, "needs the right to list nodes in the whole cluster"),
        (403, "<html>proxy</html>", Forbidden, "needs the right to patch services.serving.knative.dev in namespace n"),
        (422, '{"message": "spec: Invalid value"}', Rejected, "services.serving.knative.dev/f was refused: spec: Invalid value"),
        (400, '{"message": "admission webhook denied the request: validation\\nfailed"}', Rejected, "denied the request: validation failed"),
        (503, "no endpoints", Unreachable, r"could not patch services.serving.knative.dev/f \(503\): no endpoints"),
        (429, '{"message": "slow down"}', Unreachable, "slow down"),
        (405, "[]", Rejected, "answered 405"),
    ],
)  # fmt: skip
def test_what_the_api_refuses(status: int, body: str, kind: type[Exception], says: str) -> None:
    """The error names the missing right or the object, in one line."""
    error = refusal(ApiCall("patch", "services.serving.knative.dev", "n", "f"), status, body, "https://c", "me")
    assert isinstance(error, kind)
    assert re.search(says, str(error))
    assert "\n" not in str(error)


def test_help_imports_nothing_heavy() -> None:
    """Every command has help, and the Kubernetes client is not imported for it."""
    for command in ((), ("deploy",), ("status",), ("verify",), ("undeploy",)):
        done = knative(*command, "--help", kubeconfig=None, env={"PYTHONPROFILEIMPORTTIME": "1"})
        assert done.returncode == 0
        assert re.search(r"\| +click\n", done.stderr)
        assert not re.search(r"\| +(kubernetes|requests|urllib3|yaml|prometheus_client)\b", done.stderr), done.stderr


def test_wrong_options_are_usage() -> None:
    """The command exits with 2, before it sends any request."""
    for arguments in (
        ("deploy", "--address", "nowhere"), ("deploy", "agent", "-f", "x.yaml"), ("deploy", "other"), ("verify", "--url", "ftp://x"),
        ("verify", "--ingress", "a b"), ("verify", "--resolve", "host:80"), ("verify", "--max-extra-s", "1"), ("undeploy",),
    ):  # fmt: skip
        done = knative(*arguments, kubeconfig=None)
        assert (done.returncode, done.stdout) == (2, ""), arguments


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/apis$", overloaded), ("/serving.knative.dev/v1$", unavailable), ("/apis/apps/v1$", shutting_down),
        ("/pods$", unavailable), ("/daemonsets/vaccel-agent$", overloaded), ("/services/vaccel-function$", overloaded),
        ("/proxy/metrics$", overloaded),
    ],
)  # fmt: skip
def test_an_api_server_that_asks_to_wait_is_asked_again(
    cluster: FakeCluster, config: Path, path: str, answer: Callable[[], FakeResponse]
) -> None:
    """429 and 503 with Retry-After delay a command, wherever they come: to discovery, to reads, to writes."""
    add_agent(cluster, "a-1", "node1")
    cluster.refusals = [(path, answer())]
    deployed = quickly("deploy", "--poll-s", "0.05", kubeconfig=config)
    assert deployed.returncode == 0, deployed.stderr
    shown = quickly("status", "--json", kubeconfig=config)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["notes"] == []
    assert cluster.refusals == []


@pytest.mark.parametrize("path", ["/apis$", "/serving.knative.dev/v1$", "/pods$"])
def test_an_api_server_that_stays_overloaded(
    cluster: FakeCluster, config: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has its status and its words: it was reached, and Knative is not said to be missing."""
    waits: list[float] = []
    monkeypatch.setattr("knative.cluster.retries.time.sleep", waits.append)
    cluster.refusals = [(path, overloaded())] * 20
    line = fails("verify", kubeconfig=config)
    assert line.startswith(f"{cluster.address} could not ")
    assert line.endswith("(429): Too many requests, please try again later; try again")
    assert waits == [1.0] * 9
    cluster.refusals = [(path, FakeResponse(503, "etcdserver: leader changed", retry_after=120))]
    assert "(503): etcdserver: leader changed; try again" in fails("verify", kubeconfig=config)
    assert len(waits) == 9
