"""Process 1 reaps every child, and who waits for one still learns how it ended."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.support.paths import ROOT

CODE = """
import os, subprocess, sys
from vaccel_common import process

def reaped(keep, end):
    child = subprocess.Popen([sys.executable, "-c", end])
    if keep:
        process.keep_code(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    process.reap_children()
    return child.wait(), process.reaped_code(child.pid), process.reaped_code(child.pid)

kill = "import os; os.kill(os.getpid(), 9)"
print(reaped(True, kill), reaped(True, "raise SystemExit(3)"), reaped(False, kill))
"""


def test_the_exit_code_of_a_child_that_was_reaped_is_kept_once() -> None:
    """For those that asked for it."""
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == f"(0, {-signal.SIGKILL}, None) (0, 3, None) (0, None, None)", done.stderr
