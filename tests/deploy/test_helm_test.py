"""The program that `helm test vaccel-function` runs, against a played ingress."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.clusterkinds import NAMESPACE
from tests.support.fakecluster import FakeCluster
from tests.support.fakeingress import fake_ingress
from tests.support.paths import ROOT

PROGRAM = ROOT / "knative/charts/vaccel-function/files/classify.py"
URL = f"http://vaccel-function.{NAMESPACE}.svc"


def helm_test(url: str, seconds: str, ingress: str = "") -> subprocess.CompletedProcess[str]:
    """Runs the program as its pod does; the ingress is where the names of the cluster lead."""
    env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    env |= {"http_proxy": f"http://{ingress}"} if ingress else {}
    command = [sys.executable, "-c", PROGRAM.read_text(), url, seconds]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)


def test_directly_after_an_install(cluster: FakeCluster) -> None:
    """A route that is not there yet is waited for, and the labels are printed."""
    with fake_ingress(cluster) as (ingress, address):
        ingress.unrouted = 2
        done = helm_test(URL, "20", address)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{URL} answers: neither, neither\n"
    assert len(ingress.hosts) == 3


@pytest.mark.parametrize(
    ("url", "broken", "unrouted", "says"),
    [
        (URL, "", 1000, "404 Not Found"), ("http://nowhere.invalid", "", 0, ""), ("http://127.0.0.1:9", "", 0, "Connection refused"),
        (URL, "error", 0, "500 Internal Server Error"), (URL, "few", 0, "not the expected answer: 1 predictions for 2 texts"),
    ],
)  # fmt: skip
def test_it_fails_in_one_line(cluster: FakeCluster, url: str, broken: str, unrouted: int, says: str) -> None:
    """With the last reason: no traceback, whatever does not resolve, accept, route or answer."""
    with fake_ingress(cluster, broken) as (ingress, address):
        ingress.unrouted = unrouted
        done = helm_test(url, "1.5", address if url == URL else "")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{url} did not classify within 1.5 s; the last attempt: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
