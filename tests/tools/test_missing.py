"""A package that a tool lacks is one line with what installs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.optional import require
from tests.support.paths import ROOT, TWEETS

AGENT = "install-agent, or the wheel with its extra 'agent'"
FUNCTION = "install-agent, or the wheel with its dependencies"
#: A tool and its arguments, a package that it needs, and what installs that.
TOOLS = (
    (("models.export", "huggingface", "--help"), "torch", "install-export"),
    (("models.export", "huggingface", "models", "-o", "x.pt"), "transformers", "install-export"),
    (("models.export", "--help"), "onnx", "install-export"),
    (("models.variants", "--help"), "onnxruntime", "install-export"),
    (("models.variants", "--help"), "torch", "install-export"),
    (("models.train", "--help"), "torch", "install-train"),
    (("training.train", "--help"), "torch", "install-train"),
    (("knative", "status"), "urllib3", "install-deploy"),
    (("scripts.charts", "manifests"), "yaml", "install-charts"),
    (("scripts.charts", "manifests"), "helm_python", "install-charts"),
    (("scripts.images", "--help"), "packageurl", "install-images"),
    (("scripts.options",), "transformers", "install-dev"),
    (("benchmarks", "--quick", "--only", "hop"), "torch", "install-dev"),
    (("benchmarks.lines", "--help"), "torch", "install-dev"),
    (("benchmarks.httpfuzz", "--help"), "h11", "install-dev"),
    (("models.export", "--help"), "safetensors", "install-export"),  # transformers hides its name
    (("models.seeds", "--help"), "click", "install-export"),
    (("models.tokenizer", "--help"), "click", "install-export"),
    (("export.commands", "--help"), "torch", "install-export"),
    (("training.seeds", "--help"), "click", "install-train"),
    (("scripts.version", "1.2.3"), "click", "install-dev"),
    (("scripts.modelimage", "--help"), "click", "install-dev"),
    (("scripts.baseimage", "--help"), "click", "install-dev"),
    (("benchmarks", "--help"), "click", "install-dev"),
    (("benchmarks.chaos", "--help"), "click", "install-dev"),
    (("benchmarks.fuzz", "--help"), "google", "install-dev"),
    (("benchmarks.peers", "--help"), "click", "install-dev"),
    (("benchmarks.profile", "--help"), "click", "install-dev"),
    (("benchmarks.servers", "--help"), "click", "install-dev"),
    (("benchmarks.simulate", "--help"), "click", "install-dev"),
    (("benchmarks.slow", "--help"), "click", "install-dev"),
    (("knative", "--help"), "click", "install-deploy"),
    (("agent", "-a", "unix:///nowhere/a.sock"), "cheroot", AGENT),
    (("agent", "--help"), "click", AGENT),
    (("function",), "google", FUNCTION),
    (("function.classifier", "--help"), "tqdm", FUNCTION),
)
#: What programs are called whose console scripts have other names than their modules.
NAMES = {"agent": "vaccel-rpc-agent", "function.classifier": "vaccel-classifier"}


def run(folder: Path, missing: str, *command: str) -> subprocess.CompletedProcess[str]:
    """``python -m COMMAND`` in an environment without a package."""
    return started(folder, missing, [sys.executable, "-m", *command])


def started(folder: Path, missing: str, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """A command line in that environment."""
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.modules[{missing!r}] = None\n")
    return processed(folder, command)


def processed(folder: Path, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """A command line whose Python first imports what is in a folder."""
    path = os.pathsep.join((str(folder), str(ROOT)))
    environment = {**os.environ, "PYTHONPATH": path, "NO_COLOR": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(("command", "missing", "target"), TOOLS, ids=[f"{tool[0][0]}-{tool[1]}" for tool in TOOLS])
def test_a_missing_package_is_one_line_with_what_installs_it(
    tmp_path: Path, command: tuple[str, ...], missing: str, target: str
) -> None:
    """Not a traceback, whether it is imported at the start or when it is used."""
    done = run(tmp_path, missing, *command)
    name = NAMES.get(command[0], command[0])
    assert done.stderr == f"{name} needs the package {missing}, which is not installed: make {target}\n"
    assert done.returncode == 1


#: Interrupts the process when it imports click, or protobuf.
INTERRUPTING = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("click", "google"):
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
"""


@pytest.mark.parametrize("module", ["agent", "function", "function.classifier", "knative", "scripts.options"])
def test_ctrl_c_while_a_tool_imports_is_one_line(tmp_path: Path, module: str) -> None:
    """And exit code 130, as it is later."""
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTING)
    done = processed(tmp_path, [sys.executable, "-m", module])
    assert done.stderr == f"{NAMES.get(module, module)}: interrupted\n"
    assert done.returncode == 130


@pytest.mark.parametrize(("script", "module"), [(name, module) for module, name in NAMES.items()])
def test_a_console_script_is_explained_too(tmp_path: Path, script: str, module: str) -> None:
    """It is not started by ``python -m``; a closed standard error takes the line from nobody else."""
    path = Path(sys.executable).with_name(script)
    require(path.exists(), f"{script} is not installed (make install-dev)")
    done = started(tmp_path, "click", [path, "--help"])
    target = AGENT if module == "agent" else FUNCTION
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{script} needs the package click, which is not installed: make {target}\n"
    done = started(tmp_path, "click", ["sh", "-c", f"exec {path} --help 2>&-"])
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_what_needs_no_package_runs_without_it(tmp_path: Path) -> None:
    """The tokenizer file is written without torch."""
    done = run(tmp_path, "torch", "models.tokenizer", str(TWEETS), "-o", str(tmp_path / "out.tokenizer"))
    assert done.returncode == 0, done.stderr


def test_a_missing_module_of_ours_is_a_traceback(tmp_path: Path) -> None:
    """It is a fault, which no installation mends."""
    done = run(tmp_path, "loadkit.stats", "models.tokenizer", "--help")
    assert done.returncode == 0
    done = run(tmp_path, "training.network", "models.export", "--help")
    assert "Traceback" in done.stderr
