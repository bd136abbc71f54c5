"""The machine and the versions of a measurement."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from agent.cpus import available
from loadkit.processes import ROOT

_PACKAGES = ("torch", "onnxruntime", "tokenizers", "uvicorn", "httptools", "flask", "grpcio", "protobuf")


def described() -> dict[str, str]:
    """Facts about the machine by name; none of them identifies it."""
    versions = {name: metadata.version(name) for name in _PACKAGES}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    hardware = {
        "cpu": _cpu(),
        "cores": str(available()),
        "memory": f"{memory:.0f} GiB",
        "kernel": platform.release().split("-")[0],
    }
    return {**hardware, "python": platform.python_version(), **versions, "commit": _commit()}


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    process = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return process.stdout.strip() or "unknown"
