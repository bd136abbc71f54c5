"""This environment's pip creates wheels and environments with the project's constraints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]


def build_wheel(folder: Path) -> Path:
    """Builds the wheel of this checkout into ``folder``; its path."""
    subprocess.run([*_PIP, "wheel", "--no-deps", "-w", str(folder), str(ROOT)], check=True, timeout=100)
    (wheel,) = folder.glob("function-*.whl")
    return wheel


def empty_environment(folder: Path) -> Path:
    """Makes an environment with nothing in it, not even pip; the path of its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin/python"


def install(python: Path, *what: str, cwd: Path, without: str = "") -> None:
    """Installs into an environment what pip's arguments ``what`` name.

    The project's constraints apply, except the lines that begin with ``without``.

    Nothing is compiled: what is imported is compiled then, and most of it never is.
    """
    constraints = python.parent / "constraints.txt"
    lines = (ROOT / "constraints.txt").read_text().splitlines(keepends=True)
    constraints.write_text("".join(line for line in lines if not without or not line.startswith(without)))
    command = [*_PIP, "--python", str(python), "install", "--no-compile", "-c", str(constraints), *what]
    subprocess.run(command, cwd=cwd, check=True, timeout=110)
