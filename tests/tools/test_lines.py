"""No shipped package ends lines of input at anything but line feeds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

#: Packages that read files or streams of users.
PACKAGES = ("agent", "export", "function", "knative", "loadtests", "training", "vaccel_common", "vaccel_rpc")


def splitting(path: Path) -> Iterator[int]:
    """Lines with ``.splitlines()``, save of ``str(...)``: an exception's message is no input."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr == "splitlines":
            of = node.value
            if not (isinstance(of, ast.Call) and isinstance(of.func, ast.Name) and of.func.id == "str"):
                yield node.lineno


@pytest.mark.parametrize("package", PACKAGES)
def test_lines_are_those_of_textfile(package: str) -> None:
    """``splitlines`` ends them at U+2028 and others; `vaccel_common.textfile` has functions for files and pipes."""
    files = list((ROOT / package).rglob("*.py"))
    assert files
    assert [f"{path}:{line}" for path in files for line in splitting(path)] == []
