"""``podman play kube`` runs the guide's sidecar Pod from the file that is applied to a cluster."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.containers import guide, policy
from tests.containers.bench import Bench, Container
from tests.support.optional import shared
from tests.support.paths import ROOT

pytestmark = pytest.mark.containers

FILE = ROOT / "knative/manifests/sidecar.yaml"
AGENT, CLIENT = Container("vaccel-sidecar-pod-vaccel-agent"), Container("vaccel-sidecar-pod-vaccel-client")


@pytest.fixture
def pod(bench: Bench, tweets: Path, tmp_path: Path) -> Path:
    """The file, played. One word of it is changed: the folder of this machine that holds the tweets."""
    text = FILE.read_text()
    assert text.count("path: /tmp/data\n") == 1
    file = tmp_path / "sidecar.yaml"
    file.write_text(text.replace("path: /tmp/data\n", f"path: {tweets}\n"))
    bench.play(file)
    return file


def test_a_thousand_lines(pod: Path) -> None:  # noqa: ARG001
    """All classified, in order, with the guide's lines in both logs; the pod's rights are the chart's; the agent ends in order."""
    assert CLIENT.wait(90) == 0, CLIENT.log
    numbers = re.findall(
        r"^Line (\d+): Duration: [\d.]+ ms Prediction: (?:neither|offensive-language|hate-speech)$", CLIENT.log, re.M
    )
    assert numbers == [str(number) for number in range(1, 1001)]
    assert re.search(r"^1000 lines in ", CLIENT.log, re.MULTILINE)
    missing = guide.missing_lines(CLIENT.log, guide.promised(guide.CLIENT)) + guide.missing_lines(
        AGENT.log, guide.promised(guide.AGENT, "tcp")
    )
    assert missing == []
    # podman makes an emptyDir of each volume; the root itself stays as it was.
    assert policy.container_problems(AGENT) == []
    AGENT.signal("TERM")
    assert AGENT.wait(20) == 0, AGENT.log


def test_the_pod_ends_the_agent_in_its_grace(pod: Path, bench: Bench) -> None:  # noqa: ARG001
    """What deleting the Pod does while the client is at work: both end, neither is killed."""
    CLIENT.wait_for("Line 10: ")
    began = time.monotonic()
    bench.stop_pod("vaccel-sidecar-pod", 20)
    assert time.monotonic() - began < 15
    assert AGENT.state["ExitCode"] == 0, AGENT.log
    # podman ends one after the other: the client by the signal, or because its agent has gone.
    assert CLIENT.state["ExitCode"] in (143, 1), CLIENT.log


def test_the_guide_is_covered() -> None:
    """One of the tables has each line of the guide's logs."""
    text = shared("spec/deployment-guide.md").read_text()
    known = [*guide.AGENT, *guide.CLIENT]
    for block in re.findall(r"^```console\n\$ kubectl logs (.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines()[1:]:
            assert line == "..." or re.match(r"Line \d+: ", line) or any(like(line, known_line) for known_line in known), line


def test_a_log_without_a_promised_line_is_refused() -> None:
    """The comparison of logs sees a line that is missing, and lines in another order."""
    assert guide.missing_lines("one\ntwo\n", ["one", "two"]) == []
    assert guide.missing_lines("one\n", ["one", "two"]) == ["two"]
    assert guide.missing_lines("two\none\n", ["one", "two"]) == ["two"]


def like(line: str, known: str) -> bool:
    """Whether the guide's line is that one, numbers and times aside."""
    strip = re.compile(r"\d+")
    return strip.sub("#", line).endswith(strip.sub("#", known))
