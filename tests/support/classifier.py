"""The command-line classifier as a process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.servers import ServerProcess

TEXTS = ["What a lovely day", "the match was on very late", "", "tea and cake at four", "see you tomorrow, then"]

#: The guide's form of a line of vAccel's log, its level and its message.
LINE = r"\d{4}\.\d\d\.\d\d-\d\d:\d\d:\d\d\.\d\d - <(error|warn|info|debug)> (.+)"


def logged(text: str) -> list[tuple[str, str]]:
    """Level and message of each line of the log within a text."""
    return [(match[1], match[2]) for line in text.splitlines() if (match := re.fullmatch(LINE, line))]


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


def guide_forms(source: Path, count: int, labels: str = "hate-speech|offensive-language|neither") -> list[str]:
    """The deployment guide's lines of standard output for a file of ``count`` texts: a regular expression for each whole line."""
    return [
        rf"Processing {count} lines from: {re.escape(str(source))}",
        r"== \[Vocab Loaded\] ==",
        r"vaccel_resource_new\(\): Time Taken: [1-9]\d* nanoseconds",
        r"Created new model resource [1-9]\d*",
        r"Initialized vAccel session [1-9]\d*",
        *(rf"Line {n}: Duration: \d+(\.\d+)? ms Prediction: ({labels})" for n in range(1, count + 1)),
    ]


def unlike(output: str, forms: list[str]) -> list[tuple[str, str]]:
    """The lines that are not of their form, with it; lines and forms correspond one to one."""
    lines = output.splitlines()
    assert len(lines) == len(forms), output
    return [(line, form) for line, form in zip(lines, forms, strict=True) if not re.fullmatch(form, line)]
