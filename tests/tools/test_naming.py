"""Rules for the whole tree: a class name means one thing, and a file has one subject."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from tests.support.paths import ROOT

LONGEST = 300
#: What is generated is not read; what tools wrote into hidden folders is not ours.
FILES = sorted(
    path
    for path in ROOT.rglob("*.py")
    if not path.name.endswith("_pb2.py") and not {"build", "dist"} & set(path.parts)
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)


def classes(path: Path) -> list[str]:
    """The names of the classes in a file, those within functions too."""
    return [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]


def test_a_class_name_means_one_thing() -> None:
    """No two classes have the same name, be they private, of tests, or in programs that never meet."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        for name in classes(path):
            places[name].append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_no_file_is_too_long_to_be_read_at_once() -> None:
    """300 lines at most: what is longer has two subjects."""
    lengths = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in FILES}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}
