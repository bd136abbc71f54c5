"""The environments of the other model servers, how they are installed, and the settings with which
each was fastest.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from benchmarks.targets import Running
from loadkit.processes import ROOT, ended, free_port, spawn, wait_for
from loadkit.texts import TEXT

_TORCH = "torch==2.13.0"
_BODY = json.dumps({"text": TEXT})


@dataclass(frozen=True)
class PeerServer:
    """A model server; ``settings``: workers, torch's threads in each, rows of a batch, milliseconds
    that a batch waits for rows.
    """

    name: str
    version: str
    path: str
    settings: Mapping[str, int] = field(default_factory=dict)

    @property
    def python(self) -> str:
        """The interpreter of the server's environment."""
        return str(ROOT / f".venv-{self.name}/bin/python")

    @property
    def about(self) -> str:
        """The settings in words, for tables."""
        return ", ".join(f"{name} {value}" for name, value in self.settings.items())

    def install(self) -> None:
        """Creates the environment unless it exists; ``TORCH_INDEX`` has the same meaning as for
        ``make``.
        """
        folder = ROOT / f".venv-{self.name}"
        if (folder / "installed").exists():
            return
        print(f"Installing {self.name} into {folder.name}; with torch this takes some minutes", file=sys.stderr)
        venv.create(folder, with_pip=True)
        packages = [_TORCH, "tokenizers", f"{self.name}=={self.version}"]
        if index := os.environ.get("TORCH_INDEX"):
            packages += ["--extra-index-url", index]
        subprocess.run([self.python, "-m", "pip", "--disable-pip-version-check", "install", "-q", *packages], check=True)
        (folder / "installed").touch()

    @contextlib.contextmanager
    def run(self) -> Iterator[Running]:
        """Runs the server during the block; it has answered a request when the block begins."""
        port = free_port()
        env = {f"PEER_{name.upper()}": str(value) for name, value in self.settings.items()}
        # As in the agent, waiting threads do not spin. torch would warn about a missing numpy that
        # it does not need.
        env |= {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "10000"}
        env |= {"OMP_NUM_THREADS": str(self.settings["threads"]), "PORT": str(port), "PYTHONWARNINGS": "ignore"}
        with ended(spawn([self.python, "-m", f"benchmarks.peers.{self.name}_worker"], env)) as process:
            wait_for(port, self.path, "POST", _BODY)
            yield Running((port,), self.path, {self.name: [process.pid]})


#: The servers with their fastest settings; ``python -m benchmarks --only tune --peers`` measures
#: the alternatives.
PEERS = (
    PeerServer("mosec", "0.9.8", "/inference", {"workers": 2, "threads": 1, "batch": 1, "wait_ms": 0}),
    PeerServer("litserve", "0.2.19", "/predict", {"workers": 2, "threads": 1, "batch": 1, "wait_ms": 0}),
)
#: The alternatives: one process for both cores or one for each; no batches, small and large ones;
#: short and long waits.
SETTINGS = tuple(
    {"workers": workers, "threads": threads, "batch": batch, "wait_ms": wait}
    for workers, threads in ((1, 2), (2, 1))
    for batch, wait in ((1, 0), (4, 2), (8, 5), (16, 10), (32, 10))
)
