"""Lists an image's requirements for pip: ``python scripts/requirements.py NAMES FOLDER``.

NAMES are extras and dependency groups of pyproject.toml, separated by commas. Images are made from
it before there is any code, so it needs nothing but the standard library.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

#: Packages that are installed without their dependencies. tokenizers requires huggingface_hub (with
#: hf-xet, httpx2, PyYAML and more: 28 MB) for ``Tokenizer.from_pretrained`` alone, which downloads;
#: nothing here calls it, and nothing imports the hub.
ALONE = frozenset({"tokenizers"})


def requirements(pyproject: dict[str, Any], names: list[str]) -> list[str]:
    """The project's own requirements, and those of the named extras and dependency groups.

    Groups that a group includes are followed. Raises ``KeyError`` with a name that is neither.
    """
    extras, groups = pyproject["project"]["optional-dependencies"], pyproject["dependency-groups"]
    lines: list[str] = list(pyproject["project"]["dependencies"])
    waiting = list(names)
    seen: set[str] = set()
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        for entry in extras[name] if name in extras else groups[name]:
            if isinstance(entry, str):
                lines.append(entry)
            else:
                waiting.append(entry["include-group"])
    return lines


def split(lines: list[str]) -> tuple[list[str], list[str]]:
    """The lines to install with their dependencies, and those to install without (`ALONE`)."""
    alone = [line for line in lines if package(line) in ALONE]
    return [line for line in lines if line not in alone], alone


def package(requirement: str) -> str:
    """The name that a requirement begins with, normalized. Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]).lower()


def read(file: Path) -> dict[str, Any]:
    """The content of a pyproject.toml."""
    return tomllib.loads(file.read_text())


def main(arguments: list[str]) -> int:
    """Writes requirements.txt and alone.txt into the folder. Exit code 1 where it cannot, 2 for other arguments."""
    if len(arguments) != 2:
        return _fail("give the names of extras and groups, separated by commas, and a folder: requirements.py NAMES FOLDER", 2)
    names, folder = arguments
    chosen = [name for name in names.split(",") if name]
    try:
        lines = split(requirements(read(Path("pyproject.toml")), chosen))
        for file, part in zip(("requirements.txt", "alone.txt"), lines, strict=True):
            (Path(folder) / file).write_text("".join(f"{line}\n" for line in part))
    except KeyError as error:
        return _fail(f"pyproject.toml has no extra and no dependency group {error}", 1)
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}", 1)
    return 0


def _fail(line: str, code: int) -> int:
    print(f"requirements.py: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
