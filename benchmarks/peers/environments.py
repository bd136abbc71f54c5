"""The environments of the other model servers: how they are installed, and a server in its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.peers.settings import FASTEST, FORMS, SERVERS, Form, Numbers, PeerSettings
from benchmarks.targets import Running
from loadkit.processes import ROOT, ended, free_port, spawn, wait_for
from loadkit.texts import TEXT

RUNTIME = "1.32.0"
#: Beside the server; onnx is for the tools that make the files.
_PACKAGES = ("torch==2.13.0", "tokenizers==0.23.3", "numpy==2.4.6", f"onnxruntime=={RUNTIME}", "onnx==1.23.2")
_BODY = json.dumps({"text": TEXT})


def python(server: str) -> str:
    """The interpreter of a server's environment."""
    return str(ROOT / f".venv-{server}/bin/python")


def packages(server: str) -> list[str]:
    """What is installed into a server's environment."""
    return [*_PACKAGES, f"{server}=={SERVERS[server][0]}"]


def install(server: str) -> None:
    """Creates the server's environment, unless it has these packages; ``TORCH_INDEX`` has the same
    meaning as for ``make``.
    """
    folder = ROOT / f".venv-{server}"
    installed = folder / "installed"
    if installed.exists() and installed.read_text().split() == packages(server):
        return
    print(f"Installing {server} into {folder.name}; with torch this takes some minutes", file=sys.stderr)
    venv.create(folder.resolve(), with_pip=True)
    index = ["--extra-index-url", os.environ["TORCH_INDEX"]] if os.environ.get("TORCH_INDEX") else []
    pip = [python(server), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    subprocess.run([*pip, *index, *packages(server)], check=True)
    installed.write_text("\n".join(packages(server)) + "\n")


@dataclass(frozen=True)
class PeerServer:
    """A model server that runs a form of the model with its settings."""

    server: str
    form: Form
    settings: PeerSettings

    @property
    def name(self) -> str:
        """The server with its version, and the form."""
        return f"{self.server} {SERVERS[self.server][0]} + {FORMS[self.form][0]}"

    @property
    def numbers(self) -> Numbers:
        """What the form computes in."""
        return FORMS[self.form][1]

    @contextlib.contextmanager
    def run(self) -> Iterator[Running]:
        """Runs the server during the block; it has answered a request when the block begins."""
        port, path = free_port(), SERVERS[self.server][1]
        # As in the agent, torch's waiting threads do not spin; ONNX Runtime has a setting of its own. torch would
        # warn about what it does not need. A worker tokenizes one text at a time, which takes no threads.
        env = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "10000", "TOKENIZERS_PARALLELISM": "false"}
        env |= {"OMP_NUM_THREADS": str(self.settings.threads), "PORT": str(port), "PYTHONWARNINGS": "ignore"}
        env |= {**self.settings.env(), "PEER_FORM": self.form}
        with ended(spawn([python(self.server), "-m", f"benchmarks.peers.{self.server}_worker"], env)) as process:
            wait_for(port, path, "POST", _BODY)
            yield Running((port,), path, {self.server: [process.pid]})


#: Every server with every form, with the settings that are fastest with many clients.
PEERS = tuple(PeerServer(*key, many) for key, (many, _) in FASTEST.items())
#: Those that are faster with other settings for one client, with these.
ALONE = tuple(PeerServer(*key, one) for key, (many, one) in FASTEST.items() if one != many)
