"""Downloads the images' wheels into docker/wheels, by this machine's pip and its configuration.

The builds then need neither a network nor a package index. The wheels are those for the image's
Python, which may differ from this machine's.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from scripts import requirements
from scripts.builders import BuilderError

ROOT = Path(__file__).parent.parent
WHEELS = ROOT / "docker/wheels"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
_PYTHON = "3.11"
#: Minor versions of glibc: Debian 12 has 2.36, torch needs 2.28. Source: PEP 600.
_GLIBC = range(5, 37)


def download(kind: str, names: str, torch_index: str = TORCH_INDEX) -> None:
    """Fills docker/wheels/``kind`` with the requirements of the project and of ``names``.

    ``names`` are extras and dependency groups of pyproject.toml, separated by commas. Raises
    `BuilderError` for an unknown name, and if pip fails.
    """
    pyproject = requirements.read(ROOT / "pyproject.toml")
    try:
        lines = requirements.requirements(pyproject, [name for name in names.split(",") if name])
    except KeyError as error:
        raise BuilderError(f"EXTRAS={names}: pyproject.toml has no extra {error}") from None
    with_dependencies, alone = requirements.split(lines)
    torch = [line for line in with_dependencies if requirements.package(line) == "torch"]
    folder, stamp = WHEELS / kind, _stamp(*lines, (ROOT / "constraints.txt").read_text(), torch_index)
    if _is_filled(folder, stamp):
        return
    constraints = ["-c", str(ROOT / "constraints.txt")]
    if torch:
        # First, alone and without retries: an unreachable index must not cost minutes, and the
        # other packages must not be looked up there.
        _pip(folder, *constraints, "--no-deps", "--retries", "0", "--timeout", "15", "--extra-index-url", torch_index, *torch)
    _pip(folder, *constraints, *with_dependencies)
    if alone:
        _pip(folder, *constraints, "--no-deps", *alone)
    (folder / "stamp").write_text(stamp)


def download_build() -> None:
    """Fills docker/wheels/build with the packages that build our wheel. Raises `BuilderError`."""
    lines = requirements.read(ROOT / "pyproject.toml")["build-system"]["requires"]
    folder, stamp = WHEELS / "build", _stamp(*lines)
    if not _is_filled(folder, stamp):
        _pip(folder, *lines)
        (folder / "stamp").write_text(stamp)


def _is_filled(folder: Path, stamp: str) -> bool:
    file = folder / "stamp"
    if file.exists() and file.read_text() == stamp:
        return True
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return False


def _pip(folder: Path, *arguments: str) -> None:
    machine = platform.machine()
    tags = [f"manylinux_2_{minor}_{machine}" for minor in _GLIBC] + [f"manylinux2014_{machine}", f"linux_{machine}"]
    command = [
        sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-qq", "--dest", str(folder), "--find-links", str(folder),
        "--only-binary=:all:", "--implementation", "cp", "--python-version", _PYTHON,
        *(part for abi in (f"cp{_PYTHON.replace('.', '')}", "abi3", "none") for part in ("--abi", abi)),
        *(part for tag in tags for part in ("--platform", tag)),
    ]  # fmt: skip
    if subprocess.run([*command, *arguments], check=False, cwd=ROOT).returncode:
        raise BuilderError("pip could not download the wheels; its messages are above")


def _stamp(*parts: str) -> str:
    return hashlib.sha256("\n".join((*parts, platform.machine(), _PYTHON)).encode()).hexdigest() + "\n"
