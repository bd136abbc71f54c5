"""A package that a tool lacks is one line with what installs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT, TWEETS

#: A tool and its arguments, a package that it needs, and what installs that.
TOOLS = (
    (("models.export", "huggingface", "--help"), "torch", "install-export"),
    (("models.export", "huggingface", "models", "-o", "x.pt"), "transformers", "install-export"),
    (("models.export", "--help"), "onnx", "install-export"),
    (("models.variants", "--help"), "onnxruntime", "install-export"),
    (("models.variants", "--help"), "torch", "install-export"),
    (("models.train", "--help"), "torch", "install-train"),
    (("training.train", "--help"), "torch", "install-train"),
    (("knative", "status"), "urllib3", "install-deploy"),
    (("scripts.charts", "manifests"), "yaml", "install-charts"),
    (("scripts.charts", "manifests"), "helm_python", "install-charts"),
    (("scripts.images", "--help"), "packageurl", "install-images"),
    (("scripts.options",), "transformers", "install-dev"),
    (("benchmarks", "--quick", "--only", "hop"), "torch", "install-dev"),
    (("benchmarks.lines", "--help"), "torch", "install-dev"),
    (("benchmarks.httpfuzz", "--help"), "h11", "install-dev"),
    (("agent", "-a", "unix:///nowhere/a.sock"), "cheroot", "install-agent, or the wheel with its extra 'agent'"),
)


def run(folder: Path, missing: str, *command: str) -> subprocess.CompletedProcess[str]:
    """``python -m COMMAND`` in an environment without a package."""
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.modules[{missing!r}] = None\n")
    environment = {**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(("command", "missing", "target"), TOOLS, ids=[f"{tool[0][0]}-{tool[1]}" for tool in TOOLS])
def test_a_missing_package_is_one_line_with_what_installs_it(
    tmp_path: Path, command: tuple[str, ...], missing: str, target: str
) -> None:
    """Not a traceback, whether it is imported at the start or when it is used."""
    done = run(tmp_path, missing, *command)
    name = {"agent": "vaccel-rpc-agent"}.get(command[0], command[0])
    assert done.stderr == f"{name} needs the package {missing}, which is not installed: make {target}\n"
    assert done.returncode == 1


def test_what_needs_no_package_runs_without_it(tmp_path: Path) -> None:
    """The tokenizer file is written without torch."""
    done = run(tmp_path, "torch", "models.tokenizer", str(TWEETS), "-o", str(tmp_path / "out.tokenizer"))
    assert done.returncode == 0, done.stderr


def test_a_missing_module_of_ours_is_a_traceback(tmp_path: Path) -> None:
    """It is a fault, which no installation mends."""
    done = run(tmp_path, "loadkit.stats", "models.tokenizer", "--help")
    assert done.returncode == 0
    done = run(tmp_path, "training.network", "models.export", "--help")
    assert "Traceback" in done.stderr
