"""Command lines of docs/deploy.md for tools that are not installed: held to the options that these tools document."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.support.paths import ROOT

TEXT = (ROOT / "docs/deploy.md").read_text()
LINES = [line.removeprefix("$ ") for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]

#: Options as kn 1.x and func 1.x document them, those that are of use here.
_SHARED = {
    "--image", "--env", "--label-revision", "--annotation-revision", "--scale-min", "--scale-max", "--scale-target",
    "--scale-metric", "--scale-utilization", "--concurrency-limit", "--request", "--limit", "--probe-readiness", "--probe-liveness",
    "--mount", "--volume", "--security-context", "--user", "--timeout", "--revision-name", "--namespace", "-n",
    "--port",
}  # fmt: skip
OPTIONS = {
    "kn service create": _SHARED | {"-f", "--filename", "--tag", "--force"},
    "kn service apply": _SHARED | {"-f", "--filename"},
    "kn service update": _SHARED | {"--traffic", "--tag", "--untag"},
    "func deploy": {"--builder", "--registry", "--image", "--build", "--push", "--namespace", "--env", "--remote"},
}


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith(("kn ", "func "))])
def test_documented_options_alone(line: str) -> None:
    """The docs use only options that kn and func have."""
    command = next(name for name in OPTIONS if line.startswith(f"{name} "))
    words = shlex.split(line, comments=True)
    used = {word.split("=")[0] for word in words if word.startswith("-")}
    assert used <= OPTIONS[command]


def test_kn_makes_what_the_chart_makes() -> None:
    """The one long line says what service.yaml says."""
    (line,) = [line for line in LINES if line.startswith("kn service create")]
    service = (ROOT / "knative/manifests/service.yaml").read_text()
    for option, pattern in {
        "--image": "image: {}", "--scale-max": 'max-scale: "{}"', "--scale-target": 'target: "{}"',
        "--scale-utilization": 'percentage: "{}"', "--concurrency-limit": "containerConcurrency: {}", "--user": "runAsUser: {}",
    }.items():  # fmt: skip
        (value,) = re.findall(rf"{option} (\S+)", line)
        assert pattern.format(value) in service
    for option, mark in (("--annotation-revision", "="), ("--port", ":")):
        ((name, value),) = re.findall(rf"{option} ([^\s{mark}]+){mark}(\S+)", line)
        assert name in service
        assert value in service


@pytest.mark.parametrize("line", [line for line in LINES if "knative/" in line or "models/" in line])
def test_files_that_are_named_are_there(line: str) -> None:
    """Each path of the project that a command names exists."""
    for path in re.findall(r"(?<!\S)(knative/[\w./-]+)", line):
        assert (ROOT / path).exists(), path
