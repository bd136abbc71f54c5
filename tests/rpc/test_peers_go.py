"""containerd's own ttrpc for Go talks to the agent, in every dialect and service."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import torch

from tests.support.optional import needs_path, needs_program
from tests.support.paths import ROOT
from tests.support.servers import ServerProcess
from tests.support.torchmodels import Twice

#: Where Debian's golang-github-containerd-ttrpc-dev lies.
GOPATH = Path("/usr/share/gocode")


@needs_program("go", "golang-go")
@needs_path(GOPATH / "src/github.com/containerd/ttrpc", "Debian: golang-github-containerd-ttrpc-dev")
def test_a_go_client_walks_through_every_dialect(agent: ServerProcess, tmp_path: Path) -> None:
    """Session, bytes, run, digest, run, unregister, destroy: over 0.8's two services and 0.7's."""
    model, program = tmp_path / "double.pt", tmp_path / "peer"
    torch.jit.save(torch.jit.script(Twice()), str(model))
    digest = "sha256:" + hashlib.sha256(model.read_bytes()).hexdigest()
    env = {**os.environ, "GO111MODULE": "off", "GOPATH": str(GOPATH), "GOCACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    subprocess.run(
        ["go", "build", "-o", str(program), str(ROOT / "tests/support/peers/go/main.go")], check=True, env=env, timeout=110
    )
    socket = agent.addresses["unix"].removeprefix("unix://")
    done = subprocess.run([str(program), socket, str(model), digest], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "ok vaccel.sync.agent.AgentService", "ok vaccel.asynchronous.agent.AgentService", "ok vaccel.AgentService",
    ]  # fmt: skip
