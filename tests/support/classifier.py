"""The command-line classifier as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

from tests.support.paths import ROOT
from tests.support.servers import ServerProcess

TEXTS = ["What a lovely day", "the match was on very late", "", "tea and cake at four", "see you tomorrow, then"]


def command(*options: str) -> list[str]:
    """Its command line."""
    return [sys.executable, "-m", "function.classifier", *options]


def run(
    agent: ServerProcess | str, *options: str, stdin: str | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs it to its end against an agent, or whatever is at an address; ``env`` is added to the environment."""
    address = agent if isinstance(agent, str) else agent.addresses["unix"]
    return subprocess.run(
        [*command(*options), "--address", address],
        capture_output=True, text=True, input=stdin, cwd=ROOT, timeout=60, env={**os.environ, **(env or {})},
    )  # fmt: skip
