"""Every option is declared once: help, docs/options.md, OpenAPI and validation follow the declaration."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

#: Everything that help, docs and OpenAPI are made of.
SOURCES = (
    "agent",
    "function",
    "vaccel_common",
    "vaccel_rpc",
    "scripts",
    "benchmarks",
    "loadtests",
    "loadkit",
    "knative",
    "export",
    "training",
)

#: File, a pattern of a declaration there, and what is put in the place of its bounds and default.
CHANGES = (
    ("function/config.py", r"(threads: int = option\(\s*)Integer\(1, 1024\),\s*128", r"\1Integer(1, 1023), 127"),
    (
        "function/core/options.py",
        r"(truncation: Truncation \| None = option\(\s*Choice\(TRUNCATIONS\),\s*)shown=.*",
        r'\1"window",',
    ),
    ("agent/config.py", r"(max_batch: int = option\(\s*)Integer\(1\),\s*64", r"\1Integer(1, 63), 61"),
    ("function/cli/config.py", r"(batch: int = option\(\s*)Integer\(1, 1024\),\s*1", r"\1Integer(1, 1022), 3"),
)

_SHOW = """
import json, sys
from unittest import mock
from click.testing import CliRunner
from agent.__main__ import main as agent
from function.cli.classifier import main as classifier
from function.config import from_env
from function.core.options import read_options
from function.usage import usage
from function.web.openapi.document import document
from scripts.options import text
from vaccel_common.options import ConfigError

def refused(call):
    try:
        call()
    except ConfigError as error:
        return str(error)

service = mock.MagicMock()
service.limits.chars, service.limits.texts, service.classifier.labels, service.classifier.pairs = 9, 9, ["a"], "allowed"
service.kind = "torchscript"
run = lambda command, *args: CliRunner().invoke(command, args, terminal_width=200).output
json.dump({
    "function --help": usage(),
    "agent --help": run(agent, "--help"),
    "classifier --help": run(classifier, "--help"),
    "docs/options.md": text(),
    "OpenAPI": document(service)["paths"]["/classify"]["post"]["parameters"],
    "function default": from_env({"MODEL": "x"}).threads,
    "function refusal": refused(lambda: from_env({"MODEL": "x", "THREADS": "1024"})),
    "agent refusal": run(agent, "--max-batch", "64"),
    "request default": read_options({}).truncation,
    "classifier refusal": run(classifier, "-m", "x", "-f", "x", "--batch", "1023"),
}, sys.stdout)
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What every program says when one default and one bound of each have been changed where they are declared."""
    tree = tmp_path_factory.mktemp("tree")
    for package in SOURCES:
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__", "*.pt", "charts"))
    for name, declaration, changed in CHANGES:
        source, count = re.subn(declaration, changed, (tree / name).read_text())
        assert count == 1, f"{name}: {declaration}"
        (tree / name).write_text(source)
    run = subprocess.run([sys.executable, "-c", _SHOW], cwd=tree, env={"PYTHONPATH": str(tree)}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)  # type: ignore[no-any-return]


def row(page: object, name: str) -> str:
    """The line of docs/options.md for an option."""
    return next(line for line in str(page).splitlines() if line.startswith("|") and f"`{name}` |" in line)


def test_a_default_of_the_function_is_changed_in_one_place(shown: dict[str, object]) -> None:
    """THREADS: its help, its row in the docs, its value and its validation follow."""
    entry = re.search(r"  THREADS .*?\n  \S", str(shown["function --help"]), re.DOTALL)
    assert entry
    assert "[default: 127]" in entry[0]
    assert "from 1 to 1023" in re.sub(r"\s+", " ", entry[0])
    assert "| a whole number from 1 to 1023 | 127 |" in row(shown["docs/options.md"], "THREADS")
    assert shown["function default"] == 127
    assert shown["function refusal"] == "THREADS=1024: a whole number from 1 to 1023 is needed"


def test_a_default_of_a_request_is_changed_in_one_place(shown: dict[str, object]) -> None:
    """truncation: OpenAPI, the docs, the classifier's help and what a request means without it follow."""
    parameters = {parameter["name"]: parameter for parameter in shown["OpenAPI"]}  # type: ignore[attr-defined]
    assert parameters["truncation"]["schema"]["default"] == "window"
    assert "| window |" in row(shown["docs/options.md"], "truncation")
    assert re.search(r"--truncation .*?\[default:\s+window\]", str(shown["classifier --help"]), re.DOTALL)
    assert shown["request default"] == "window"


def test_a_default_of_the_agent_is_changed_in_one_place(shown: dict[str, object]) -> None:
    """--max-batch: its help, its row in the docs and its validation follow."""
    assert re.search(r"--max-batch .*?default:\s+61", str(shown["agent --help"]), re.DOTALL)
    assert "| a whole number from 1 to 63 | 61 |" in row(shown["docs/options.md"], "VACCEL_AGENT_MAX_BATCH")
    assert "'64': a whole number from 1 to 63 is needed" in str(shown["agent refusal"])


def test_a_default_of_the_classifier_is_changed_in_one_place(shown: dict[str, object]) -> None:
    """--batch: its help, its row in the docs and its validation follow."""
    assert re.search(r"--batch .*?\[default:\s+3\]", str(shown["classifier --help"]), re.DOTALL)
    assert "| a whole number from 1 to 1022 | 3 |" in row(shown["docs/options.md"], "--batch")
    assert "'1023': a whole number from 1 to 1022 is needed" in str(shown["classifier refusal"])
