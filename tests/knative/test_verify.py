"""``python -m knative verify`` against a fake ingress and cluster.

A correct function passes, and each fault is reported.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.support.clustercommand import knative, quickly
from tests.support.clusterkinds import NAMESPACE
from tests.support.clusterobjects import add_agent
from tests.support.fakecluster import FakeCluster
from tests.support.fakeingress import SCORES, fake_ingress
from tests.support.functions import start, wait_until_ready
from tests.support.paths import ROOT
from tests.support.servers import ServerProcess

Json = dict[str, Any]
QUICK = ("--poll-s", "0.02", "--idle-timeout", "20", "--cold-starts", "2", "--burst", "4", "--json")
LABELS = tuple(SCORES)


@pytest.fixture
def cluster(cluster: FakeCluster) -> FakeCluster:
    """With an agent on it."""
    add_agent(cluster, "agent-1", "node1")
    return cluster


def checks(text: str) -> dict[str, Json]:
    return {check["name"]: check for check in json.loads(text)["checks"]}


def test_a_good_function_passes(cluster: FakeCluster, config: Path) -> None:
    """Every check passes, with its figures.

    The baseline is measured the same way, and is only reported unless there is a limit.
    """
    hello = ("--baseline-url", f"http://hello.{NAMESPACE}.example.com")
    with fake_ingress(cluster) as (ingress, address):
        done = knative("verify", "--ingress", address, *hello, "--max-extra-s", "100", *QUICK, kubeconfig=config)
        assert done.returncode == 0, done.stdout + done.stderr
        report, results = json.loads(done.stdout), checks(done.stdout)
        assert (report["passed"], report["url"]) == (True, f"http://vaccel-function.{NAMESPACE}.example.com")
        assert {check["result"] for check in results.values()} == {"passed"}, results
        assert list(results) == [
            "answers one text", "answers many texts", "answers the same again", "scales to zero",
            "cold start 1 of 2", "baseline's cold start 1 of 2", "cold start 2 of 2", "baseline's cold start 2 of 2",
            "4 requests at once from zero", "cold start against the baseline", "agents stay warm",
        ]  # fmt: skip
        figures = results["cold start against the baseline"]["figures"]
        assert figures["median_s"] >= 0.15
        assert figures["baseline_median_s"] >= 0.05
        assert figures["extra_s"] == pytest.approx(figures["median_s"] - figures["baseline_median_s"], abs=0.002)
        assert results["4 requests at once from zero"]["figures"]["failed"] == 0
        assert "no model loaded again (tweets: 1)" in results["agents stay warm"]["detail"]
        assert ingress.services[0].starts == 4
        plain = quickly("verify", "--ingress-host", address, *hello, "--max-extra-s", "-100", *QUICK[:-1], kubeconfig=config)
        assert plain.returncode == 1
        assert "passed cold start 2 of 2: answered in 0." in plain.stdout
        assert "waiting until vaccel-function scales to zero: 1 pod left\n" in plain.stderr
        assert plain.stderr.endswith("\nknative: 1 of 11 checks failed: cold start against the baseline\n")


@pytest.mark.parametrize(
    ("broken", "name", "says"),
    [
        (
            "labels",
            "answers one text",
            "the scores' labels are not the model's: hate-speech, neither, nonsense, offensive-language",
        ),
        ("sum", "answers one text", "the scores do not sum to 1: 0.55"),
        ("error", "answers one text", "the response was 500"),
        ("alone", "answers one text", "the response was 503 no agent can be reached: tcp://vaccel-agent:8888"),
        ("held", "answers one text", "the response was 504 activator request timeout"),
        ("few", "answers many texts", "the answer has 2 predictions for 3 texts"),
        ("moody", "answers the same again", "the scores differ by 0.0100"),
        ("kept", "scales to zero", "its min-scale is 1"),
        ("awake", "scales to zero", "1 pod left after 0.5 s"),
        ("past", "scales to zero", "a route past the activator left after 0.5 s"),
        ("lost", "cold start 1 of 2", "the connection was lost"),
        ("lost", "4 requests at once from zero", "4 failed"),
        ("elsewhere", "cold start 1 of 2", "no pod of vaccel-function was started"),
        ("restart", "agents stay warm", "agent-1 was restarted (0 restarts before, 1 after)"),
        ("replaced", "agents stay warm", "agent-1 is gone"),
        ("reload", "agents stay warm", "agent-1 had loaded tweets 1 time, now 2 times"),
    ],
)
def test_what_is_wrong_is_found(cluster: FakeCluster, config: Path, broken: str, name: str, says: str) -> None:
    """The check that is for it fails and says what it saw."""
    with fake_ingress(cluster, broken) as (_, address):
        limit = ("--idle-timeout", "0.5") if broken in ("awake", "past") else ()
        done = quickly("verify", "--ingress", address, *QUICK, *limit, kubeconfig=config)
    assert done.returncode == 1, done.stdout
    assert json.loads(done.stdout)["passed"] is False
    check = checks(done.stdout)[name]
    assert check["result"] == "failed", check
    assert says in check["detail"]


@pytest.mark.parametrize("readable", [True, False])
def test_a_pod_that_drains(cluster: FakeCluster, config: Path, readable: bool) -> None:
    """Knative drains a pod for half a minute: it is not waited for where the activator is known to take the requests."""
    if not readable:
        cluster.denied = {("list", "serverlessservices.networking.internal.knative.dev")}
    with fake_ingress(cluster) as (ingress, address):
        ingress.draining = 1_000_000
        done = quickly("verify", "--ingress", address, *QUICK, "--idle-timeout", "0.5", kubeconfig=config)
    results = checks(done.stdout)
    if readable:
        assert done.returncode == 0, done.stdout
        assert results["cold start 2 of 2"]["result"] == "passed"
    else:
        assert "1 pod left after 0.5 s" in results["scales to zero"]["detail"]


def test_a_broken_function_ends_a_process_with_1(cluster: FakeCluster, config: Path) -> None:
    """One line says which checks failed, and the exit code is 1."""
    with fake_ingress(cluster, "lost") as (_, address):
        done = knative("verify", "--ingress", address, *QUICK, kubeconfig=config)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("knative: ")
    assert "checks failed: cold start 1 of 2, cold start 2 of 2, 4 requests at once from zero" in done.stderr


def test_a_url_alone(cluster: FakeCluster) -> None:
    """Without a cluster the answers are checked, the rest is skipped and says why; a URL may be resolved as curl does it."""
    with fake_ingress(cluster) as (ingress, address):
        host, port = address.split(":")
        name = ingress.services[0].host
        done = knative("verify", "--url", f"http://{name}:{port}/", "--resolve", f"{name}:{port}:{host}", *QUICK, kubeconfig=None)
        assert set(ingress.hosts) == {f"{name}:{port}"}
    assert done.returncode == 0, done.stdout
    results = checks(done.stdout)
    for check in ("scales to zero", "cold starts", "agents stay warm"):
        assert results[check]["result"] == "skipped"
        assert "no cluster is configured" in results[check]["detail"]


def test_the_real_function_answers_right(agent: ServerProcess, tmp_path: Path) -> None:
    """What it answers is what the checks take for right."""
    function = start(tmp_path, agent.addresses["unix"])
    wait_until_ready(function)
    done = knative("verify", "--url", function.addresses["http"], "--text", "tea", "--json", kubeconfig=None)
    assert done.returncode == 0, done.stdout
    assert [check["result"] for check in checks(done.stdout).values()] == ["passed"] * 3 + ["skipped"] * 3
    assert function.stop() == 0


def test_the_role_of_the_docs_is_enough(cluster: FakeCluster, config: Path) -> None:
    """Everything that the commands ask for is in it; and it is a role."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/knative-cli.md").read_text(), re.DOTALL)
    roles = [role for block in blocks for role in yaml.safe_load_all(block)]
    for role in roles:
        kubernetes_validate.validate(role, "1.36", strict=True)
    allowed = {
        (verb, f"{resource}.{group}".rstrip("."))
        for role in roles for rule in role.get("rules", [])
        for verb in rule["verbs"] for resource in rule["resources"] for group in rule["apiGroups"]
    }  # fmt: skip
    assert quickly("deploy", "--no-wait", kubeconfig=config).returncode == 0
    cluster.statuses["DaemonSet/vaccel-agent"] = {"desiredNumberScheduled": 2}
    cluster.statuses["Service/vaccel-function"] = {"latestCreatedRevisionName": "f-00001"}
    add_agent(cluster, "agent-2", "node1", state={"waiting": {"reason": "CrashLoopBackOff"}})
    assert quickly("deploy", "--timeout", "0", kubeconfig=config).returncode == 1
    del cluster.statuses["Service/vaccel-function"]
    with fake_ingress(cluster) as (_, address):
        assert quickly("verify", "--ingress", address, *QUICK, "--cold-starts", "0", kubeconfig=config).returncode in (0, 1)
        assert quickly("status", kubeconfig=config).returncode == 0
    assert quickly("undeploy", "--yes", "--no-wait", kubeconfig=config).returncode == 0
    assert {verb for verb, _ in cluster.used} == {"get", "list", "patch", "delete"}
    assert cluster.used - allowed == set()


def test_few_rights(cluster: FakeCluster, config: Path) -> None:
    """Without the agents' metrics and logs their pods and containers are compared, and the rest is said to be unknown."""
    cluster.denied = {("get", "pods/proxy"), ("get", "pods/log")}
    with fake_ingress(cluster) as (_, address):
        done = quickly("verify", "--ingress", address, *QUICK, "--cold-starts", "0", "--burst", "0", kubeconfig=config)
    assert done.returncode == 0, done.stdout
    check = checks(done.stdout)["agents stay warm"]
    assert check["result"] == "passed"
    assert "models of agent-1 unknown: metrics not read: needs the right to get pods/proxy" in check["detail"]


def test_addresses_that_lead_nowhere(cluster: FakeCluster, config: Path) -> None:
    """A name that does not resolve, a port where nobody is, a service that is not there, one without a URL, an unknown baseline."""
    done = quickly("verify", "--url", "http://nowhere.invalid", *QUICK, "--cold-starts", "0", kubeconfig=config)
    assert (
        "nowhere.invalid does not resolve: give the ingress's address, --ingress"
        in checks(done.stdout)["answers one text"]["detail"]
    )
    assert "there is no Knative Service vaccel-function in namespace tweets" in checks(done.stdout)["scales to zero"]["detail"]
    done = quickly("verify", *QUICK, kubeconfig=config)
    assert done.stderr == "knative: there is no Knative Service vaccel-function in namespace tweets: deploy it, or give --url\n"
    cluster.add("serving.knative.dev/v1", "Service", "vaccel-function", spec={})
    cluster.statuses["Service/vaccel-function"] = {"conditions": [{"type": "Ready", "status": "False", "message": "no image"}]}
    done = quickly("verify", *QUICK, kubeconfig=config)
    assert done.stderr == "knative: the Knative Service vaccel-function has no URL yet: no image\n"
    del cluster.statuses["Service/vaccel-function"]
    with fake_ingress(cluster) as (_, address):
        other = ("--baseline-url", "http://other.example.com", "--cold-starts", "0", "--burst", "0")
        done = quickly("verify", "--ingress", address, *QUICK, *other, kubeconfig=config)
    assert (
        "no Knative Service in namespace tweets has the URL http://other.example.com"
        in checks(done.stdout)["cold start against the baseline"]["detail"]
    )
