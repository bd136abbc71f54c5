"""An empty path, as an unset variable of a shell leaves one, is refused: it is not the current folder."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.config import AgentConfig
from benchmarks.programs import PROGRAMS
from function.cli.config import ClassifierConfig
from function.config import FunctionConfig
from knative.cli.config import ClusterConfig
from knative.cli.main import COMMANDS
from loadtests.config import LoadTestConfig
from tests.support.optional import environment_python
from tests.support.paths import ROOT, TWEETS
from vaccel_common.kinds import Many
from vaccel_common.options import declared

DECLARATIONS: tuple[type[Any], ...] = (
    AgentConfig, FunctionConfig, ClassifierConfig, ClusterConfig, LoadTestConfig, *PROGRAMS.values(),
    *(settings for each in COMMANDS.values() for settings in each),
)  # fmt: skip
SETTINGS = {settings.__name__: settings for settings in DECLARATIONS}
SOURCES = [
    path
    for package in ("agent", "export", "function", "knative", "models", "scripts", "training")
    for path in (ROOT / package).rglob("*.py")
]


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_no_option_takes_an_empty_path(settings: type[Any]) -> None:
    """Whatever has the placeholder of one is of a kind that refuses it."""
    for option in declared(settings):
        kind = option.kind.each if isinstance(option.kind, Many) else option.kind
        if kind.metavar in ("FILE", "PATH", "DIR", "FOLDER"):
            with pytest.raises(ValueError, match=r"^the path is empty$"):
                kind.parse("")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_of_click_are_those_of_commandline(path: Path) -> None:
    """`vaccel_common.commandline.PathType` refuses an empty one, which ``click.Path`` takes."""
    names = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute) and node.attr == "Path")
    assert not [node.lineno for node in names if isinstance(node.value, ast.Name) and node.value.id == "click"]


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("agent", "--models", "", "--preload", "all"), "--models"),
        (("agent", "-a", "grpc://127.0.0.1:0", "--tls-cert", "", "--tls-key", "x"), "--tls-cert"),
        (("function.classifier", "-m", "", "-f", "-"), "--model"),
        (("function.classifier", "-m", str(TWEETS), "-f", ""), "--file"),
        (("models.export", "huggingface", "models", "-o", ""), "--out"),
        (("models.export", "huggingface", "", "-o", "x.pt"), "FOLDER"),
        (("models.tokenizer", "", "-o", "x.tokenizer.json"), "MODEL"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_command_names_the_option(command: tuple[str, ...], option: str) -> None:
    """Nothing is read, served or written; the exit code is that of a wrong option."""
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT, check=False, timeout=120)
    assert done.returncode == 2
    last = done.stderr.rstrip().rpartition("\n")[2]
    assert option in last
    assert last.endswith(": the path is empty")


def test_an_empty_variable_of_the_load_test_is_not_set() -> None:
    """As everywhere: a manifest may leave it empty."""
    code = "from locust.argument_parser import LocustArgumentParser as P; from loadtests.options import add; p = P(); add(p)"
    code += "; print(p.parse_args([]).tokenizer)"
    command, env = [environment_python("loadtest"), "-c", code], {**os.environ, "TOKENIZER": ""}
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=ROOT, check=True, timeout=120)
    assert done.stdout.endswith("models/tweets.pt\n")
