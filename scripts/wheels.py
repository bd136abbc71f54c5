"""Downloads the wheels that the images need, by this machine's pip and whatever it is configured with, into docker/wheels.

The builds then need neither a network nor a package index. The wheels are those for the image's Python, not for this one.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from scripts import requirements
from scripts.builders import BuilderError

ROOT = Path(__file__).parent.parent
WHEELS = ROOT / "docker/wheels"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
_PYTHON = "3.11"
#: Debian 12 has glibc 2.36; torch asks for 2.28. Source: PEP 600.
_GLIBC = range(5, 37)


def download(kind: str, extras: str, torch_index: str = TORCH_INDEX) -> None:
    """Fills docker/wheels/``kind`` with what pyproject.toml and those extras ask for. Raises `BuilderError`."""
    project = requirements.read(ROOT / "pyproject.toml")
    try:
        wanted = requirements.requirements(project, [extra for extra in extras.split(",") if extra])
    except KeyError as error:
        raise BuilderError(f"EXTRAS={extras}: pyproject.toml has no extra {error}") from None
    usual, alone = requirements.split(wanted)
    torch = [line for line in usual if requirements.name(line) == "torch"]
    folder, stamp = WHEELS / kind, _stamp(*wanted, (ROOT / "constraints.txt").read_text(), torch_index)
    if _is_filled(folder, stamp):
        return
    constraints = ["-c", str(ROOT / "constraints.txt")]
    if torch:
        # First and alone, and with few tries: an index that cannot be reached must not cost minutes, nor must it be asked for the rest.
        _pip(folder, *constraints, "--no-deps", "--retries", "0", "--timeout", "15", "--extra-index-url", torch_index, *torch)
    _pip(folder, *constraints, *usual)
    if alone:
        _pip(folder, *constraints, "--no-deps", *alone)
    (folder / "stamp").write_text(stamp)


def download_build() -> None:
    """Fills docker/wheels/build with what builds the project's own wheel. Raises `BuilderError`."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    folder, stamp = WHEELS / "build", _stamp(*wanted)
    if not _is_filled(folder, stamp):
        _pip(folder, *wanted)
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
        raise BuilderError("pip could not download the wheels; what it said stands above")


def _stamp(*parts: str) -> str:
    return hashlib.sha256("\n".join((*parts, platform.machine(), _PYTHON)).encode()).hexdigest() + "\n"
