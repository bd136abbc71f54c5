"""onnxruntime calls home from no process of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.engines.onnx.uploads import environment
from tests.support.paths import ROOT

#: Programs by what runs so. Each imports onnxruntime, which then writes its device id, if it does so at all.
PROGRAMS = {
    "a model of the store": "import agent.engines.onnx.loading",
    "exports": "import export.onnxrun",
    "checks of foreign files": "import export.foreign",
    "other model servers": "import benchmarks.peers.model, onnxruntime",
    "tests": "import tests.support.onnxmodels",
}

#: Nothing of what runs the tests: onnxruntime writes no device id where a variable such as CI names a build server.
BARE = {"PATH": os.defpath}


def has_device_id(program: str, folder: Path, env: dict[str, str]) -> bool:
    """Whether onnxruntime has written one, into the folder for temporary files, of a process that runs a program."""
    command = [sys.executable, "-c", f"{program}; import sys; sys.exit('onnxruntime' not in sys.modules)"]
    subprocess.run(command, cwd=ROOT, env=env | {"TMPDIR": str(folder)}, check=True)
    return (folder / ".ses").exists()


def test_onnxruntime_alone_has_a_device_id(tmp_path: Path) -> None:
    """What the tests below look for is there without us: a release that writes nothing makes them vain."""
    assert has_device_id("import onnxruntime", tmp_path, BARE)


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_no_process_has_a_device_id(program: str, tmp_path: Path) -> None:
    """It is switched off before the import, even where the operator's environment says that it is on."""
    assert not has_device_id(program, tmp_path, BARE | {"ORT_DISABLE_TELEMETRY": "0"})


@pytest.mark.parametrize("module", ["box", "trial"])
def test_processes_for_clients_files_have_no_device_id(module: str, tmp_path: Path) -> None:
    """They have nothing of the agent's environment."""
    assert not has_device_id(f"import agent.engines.onnx.{module}, agent.engines.onnx.loading", tmp_path, environment())
