"""What pyproject.toml says must be installed, as lines for pip: ``python scripts/requirements.py EXTRAS FOLDER``.

Images and their wheels are made from it, before there is any code and with nothing but the standard library.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

#: Installed without what they ask for. tokenizers wants huggingface_hub (hf-xet, httpx2, PyYAML and more: 28 MB) for one method,
#: `Tokenizer.from_pretrained`, that downloads; nothing here calls it, and nothing imports the hub.
ALONE = frozenset({"tokenizers"})


def requirements(project: dict[str, object], extras: list[str]) -> list[str]:
    """The requirements of the project and those extras, an extra's own extras included. Raises ``KeyError`` for an unknown one."""
    known = project["optional-dependencies"]
    found = list(_strings(project["dependencies"]))
    assert isinstance(known, dict)
    waiting = list(extras)
    seen: set[str] = set()
    while waiting:
        extra = waiting.pop(0)
        if extra in seen:
            continue
        seen.add(extra)
        for line in _strings(known[extra]):
            own = re.fullmatch(rf"{project['name']}\[(.+)\]", line)
            if own:
                waiting += own[1].split(",")
            else:
                found.append(line)
    return found


def split(lines: list[str]) -> tuple[list[str], list[str]]:
    """Those that bring their dependencies, and those that are installed alone."""
    alone = [line for line in lines if name(line) in ALONE]
    return [line for line in lines if line not in alone], alone


def name(requirement: str) -> str:
    """The name that a requirement begins with, normalized. Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]).lower()


def read(file: Path) -> dict[str, object]:
    """The table ``project`` of a pyproject.toml."""
    project: dict[str, object] = tomllib.loads(file.read_text())["project"]
    return project


def _strings(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(item) for item in value]


def main(extras: str, folder: str) -> None:
    """Writes requirements.txt and alone.txt into the folder."""
    wanted = [extra for extra in extras.split(",") if extra]
    for file, lines in zip(
        ("requirements.txt", "alone.txt"), split(requirements(read(Path("pyproject.toml")), wanted)), strict=True
    ):
        (Path(folder) / file).write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
