"""What was measured on: the machine and the versions."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from agent.cpus import available
from loadkit.processes import ROOT

_PACKAGES = ("torch", "tokenizers", "uvicorn", "httptools", "flask", "grpcio", "protobuf")


def described() -> dict[str, str]:
    """Name -> value; nothing in it says whose machine it is."""
    versions = {name: metadata.version(name) for name in _PACKAGES}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    mine = {"cpu": _cpu(), "cores": str(available()), "memory": f"{memory:.0f} GiB", "kernel": platform.release().split("-")[0]}
    return {**mine, "python": platform.python_version(), **versions, "commit": _commit()}


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
