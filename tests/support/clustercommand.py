"""Runs of ``python -m knative`` against a played cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from knative.__main__ import main
from tests.support.paths import ROOT


def knative(*arguments: str, kubeconfig: Path | None, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs ``python -m knative`` as a process of its own; without a kubeconfig there is no cluster."""
    ours = {"KUBECONFIG": str(kubeconfig)} if kubeconfig else {"HOME": "/nonexistent"}
    inherited = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST")}
    return subprocess.run(
        [sys.executable, "-m", "knative", *arguments],
        cwd=ROOT, env={**inherited, **ours, **(env or {})}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def quickly(*arguments: str, kubeconfig: Path) -> subprocess.CompletedProcess[str]:
    """The same in this process: for all that a process of its own would not make truer."""
    done = CliRunner().invoke(main, [*arguments, "--kubeconfig", str(kubeconfig)])
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)
