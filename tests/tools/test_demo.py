"""``make run``: an agent and the function with one model, which it announces."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from loadkit.processes import free_port
from tests.support.paths import ROOT
from tests.support.smallmodel import write_small_model


def test_it_serves_the_model_that_it_announces(tmp_path: Path) -> None:
    """That of MODEL, which the agent has in its store; one request is answered, and Ctrl-C ends it with 0."""
    model = write_small_model(tmp_path / "mine.pt")
    env = {**os.environ, "MODEL": str(model), "PORT": str(free_port())}
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen([sys.executable, "-m", "scripts.demo"], stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT, env=env) as demo,
    ):  # fmt: skip
        lines: list[str] = []
        for line in demo.stdout or ():
            lines.append(line)
            if line.startswith("Ctrl-C"):
                demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0
    assert lines[0].endswith(f" with the model {model}\n")
    assert '    "name": "mine",\n' in lines
    assert "model registered as " in (tmp_path / "log").read_text()
