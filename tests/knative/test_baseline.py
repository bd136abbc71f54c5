"""``python -m knative verify --baseline`` and ``--junit``: the hello-world that ships, and reports for pipelines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from knative.apply.manifests import BASELINE, PARTS
from tests.support.clustercommand import quickly
from tests.support.clusterobjects import add_agent
from tests.support.fakecluster import FakeCluster
from tests.support.fakeingress import fake_ingress

Json = dict[str, Any]
QUICK = ("--poll-s", "0.02", "--idle-timeout", "20", "--cold-starts", "1", "--burst", "2")
HELLO = "services/vaccel-hello"


@pytest.fixture
def cluster(cluster: FakeCluster) -> FakeCluster:
    """With an agent on it."""
    add_agent(cluster, "agent-1", "node1")
    return cluster


def test_the_baseline_is_there_for_the_time_of_the_checks(cluster: FakeCluster, config: Path) -> None:
    """It is deployed with the image that is given, measured, and deleted; one that was there before stays."""
    with fake_ingress(cluster) as (_, address):
        image = ("--baseline", "--baseline-image", "r.example/vaccel-hello:1")
        done = quickly("verify", "--ingress", address, *image, "--max-extra-s", "100", "--json", *QUICK, kubeconfig=config)
        assert done.returncode == 0, done.stdout + done.stderr
        results = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
        assert results["baseline's cold start 1 of 1"]["result"] == "passed"
        assert results["cold start against the baseline"]["figures"]["baseline_median_s"] >= 0.05
        assert "created service.serving.knative.dev/vaccel-hello" in done.stderr
        assert "deleted service.serving.knative.dev/vaccel-hello" in done.stderr
        (path,) = {path for method, path, _ in cluster.requests if method == "PATCH"}
        assert path.endswith("/services/vaccel-hello")
        cluster.remove("services", "vaccel-hello", "serving.knative.dev")
    with fake_ingress(cluster) as (_, address):
        cluster.add("serving.knative.dev/v1", "Service", "vaccel-hello", spec={"template": {}})
        done = quickly("verify", "--ingress", address, "--baseline", *QUICK, kubeconfig=config)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "deleted" not in done.stderr
        assert HELLO in cluster.names()


def test_a_baseline_that_does_not_start(cluster: FakeCluster, config: Path, tmp_path: Path) -> None:
    """The message says why, and the baseline is deleted again; the report has the error."""
    condition = {"type": "Ready", "status": "False", "reason": "RevisionFailed", "message": "Unable to fetch image"}
    cluster.statuses["Service/vaccel-hello"] = {"conditions": [condition]}
    report = tmp_path / "report.xml"
    with fake_ingress(cluster) as (_, address):
        options = ("--baseline", "--idle-timeout", "0.2", "--poll-s", "0.02", "--junit", str(report))
        done = quickly("verify", "--ingress", address, *options, kubeconfig=config)
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("knative: the baseline cannot be measured: service.serving.knative.dev/vaccel-hello is not ready")
    assert line.endswith("knative: Ready: RevisionFailed: Unable to fetch image")
    assert "deleted service.serving.knative.dev/vaccel-hello" in done.stderr
    (case,) = ElementTree.parse(report).iter("testcase")
    assert (case.get("name"), case.find("error") is not None) == ("verify", True)


def test_a_report_for_pipelines(cluster: FakeCluster, config: Path, tmp_path: Path) -> None:
    """A test case for each check, with what it saw, its time, and why it failed; skipped ones too."""
    report = tmp_path / "report.xml"
    with fake_ingress(cluster, "lost") as (_, address):
        done = quickly("verify", "--ingress", address, "--junit", str(report), *QUICK, kubeconfig=config)
    assert done.returncode == 1
    (suite,) = ElementTree.parse(report).iter("testsuite")
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "8", "failures": "2", "errors": "0", "skipped": "1",
    }  # fmt: skip
    cases = {case.get("name"): case for case in suite}
    assert float(cases["answers one text"].get("time", "")) >= 0.0
    assert "neither (0.950)" in str(cases["answers one text"].findtext("system-out"))
    failure, skipped = cases["cold start 1 of 1"].find("failure"), cases["cold start"].find("skipped")
    assert failure is not None
    assert "the connection was lost" in failure.get("message", "")
    assert skipped is not None


def test_a_report_without_a_cluster(config: Path, tmp_path: Path) -> None:
    """A pipeline sees the error where no check could begin; a report that cannot be written is an error itself."""
    report = tmp_path / "report.xml"
    done = quickly("verify", "--junit", str(report), kubeconfig=config)
    assert done.returncode == 1
    (error,) = ElementTree.parse(report).iter("error")
    assert error.get("message") == "there is no Knative Service vaccel-function in namespace tweets: deploy it, or give --url"
    done = quickly("verify", "--junit", str(tmp_path / "none/report.xml"), kubeconfig=config)
    assert (done.returncode, "report.xml: No such file or directory" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--baseline", "--baseline-url", "http://h.example.com"), "give --baseline or --baseline-url, not both"),
        (("--baseline-image", "x:1"), "--baseline-image needs --baseline"),
        (("--max-extra-s", "1"), "--max-extra-s needs --baseline or --baseline-url"),
    ],
)
def test_options_that_do_not_fit(options: tuple[str, ...], says: str, cluster: FakeCluster, config: Path) -> None:
    """The command exits with 2 before it sends anything."""
    done = quickly("verify", *options, kubeconfig=config)
    assert (done.returncode, says in done.stderr, cluster.requests) == (2, True, [])


def test_the_baseline_has_the_functions_limits() -> None:
    """Its figure is the platform's share: same limits, scaling, concurrency and security, and no volume."""
    (hello,), (function,) = (list(yaml.safe_load_all(path.read_text())) for path in (BASELINE, PARTS["function"]))
    ours, theirs = hello["spec"]["template"], function["spec"]["template"]
    assert ours["metadata"]["annotations"] == theirs["metadata"]["annotations"]
    own = ("containers", "volumes")
    assert {key: value for key, value in ours["spec"].items() if key not in own} == {
        key: value for key, value in theirs["spec"].items() if key not in own
    }
    (mine,), (its,) = ours["spec"]["containers"], theirs["spec"]["containers"]
    for name in ("resources", "securityContext", "ports", "imagePullPolicy"):
        assert mine[name] == its[name], name
    assert "volumes" not in ours["spec"]
    assert "volumeMounts" not in mine
    assert "periodSeconds" not in mine["readinessProbe"]
