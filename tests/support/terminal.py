"""Programs on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import termios
from collections.abc import Mapping, Sequence

from tests.support.paths import ROOT


def on_terminal(command: Sequence[str], env: Mapping[str, str], types: str = "") -> tuple[int, str]:
    """Exit code and all that a terminal of 160 columns was sent; ``env`` is added to the environment, ``types`` is the user's input."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 160))
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **env}, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, types.encode())
    text = b""
    try:
        while chunk := os.read(ours, 65536):
            text += chunk
    except OSError:
        pass  # Linux' way to say that the other end is closed
    finally:
        os.close(ours)
    return process.wait(60), text.decode(errors="replace")


def overwritten(text: str) -> list[str]:
    """The lines of a terminal's text as they stay: what follows the last return of the cursor."""
    return [line.removesuffix("\r").rsplit("\r")[-1] for line in text.removesuffix("\n").split("\n")]
