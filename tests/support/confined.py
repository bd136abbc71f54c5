"""Commands that can write no file: the root and the folders for temporary files are read-only for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.optional import require

_READ_ONLY = """
for folder in / /tmp /var/tmp; do
  [ $folder = / ] || mount --bind $folder $folder
  mount -o remount,bind,ro $folder
done
exec "$@"
"""
#: Goes before a command. What it inherits, such as the file of its log, it can still write to.
READ_ONLY = ["unshare", "--map-root-user", "--mount", "sh", "-ec", _READ_ONLY, "sh"]


def require_confinement() -> None:
    """Skips the test where there are no mount namespaces; fails where a confined program can write a temporary file."""
    try:
        probe = [*READ_ONLY, sys.executable, "-c", "import tempfile; tempfile.TemporaryFile()"]
        done = subprocess.run(probe, cwd="/", env={"TMPDIR": "/tmp"}, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("unshare is missing (Debian: util-linux)")
    require("unshare" not in done.stderr and "mount" not in done.stderr, f"no mount namespaces: {done.stderr[-200:]}")
    assert "No usable temporary directory" in done.stderr
