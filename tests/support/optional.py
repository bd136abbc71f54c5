"""The policy for what a machine may lack: a test that needs it is skipped and says what would provide it; it never fails.

Whoever wants such tests to fail instead sets a variable (``REQUIRE_CONTAINERS``), as the target of the Makefile does.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.paths import ROOT


def require(present: object, reason: str, variable: str | None = None) -> None:
    """Skips the test unless something is ``present``; fails it where the environment's ``variable`` is set."""
    if present:
        return
    if variable and os.environ.get(variable):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def needs_program(name: str, debian: str) -> pytest.MarkDecorator:
    """A mark that skips tests where the program is not on the path; ``debian`` names the packages that bring it."""
    return pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is missing (Debian: {debian})")


def needs_path(path: Path, provider: str) -> pytest.MarkDecorator:
    """A mark that skips tests where the path does not exist; ``provider`` says what would make it."""
    return pytest.mark.skipif(not path.exists(), reason=f"{path} is missing ({provider})")


def environment_python(name: str) -> str:
    """The Python of the environment ``.venv-NAME``; skips the test where it does not exist."""
    python = ROOT / f".venv-{name}" / "bin/python"
    require(python.exists(), f".venv-{name} is missing (make .venv-{name}/installed)")
    return str(python)


def shared(name: str) -> Path:
    """A file or folder beside the checkout, in ``../shared``; skips the test where it is not there."""
    path = ROOT.parent / "shared" / name
    require(path.exists(), f"../shared/{name} is missing")
    return path
