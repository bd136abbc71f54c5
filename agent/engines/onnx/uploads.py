"""Decides whether a client's ONNX file may be loaded, by a trial in another process."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from agent.engines.onnx.trial import ACCEPTED, cpu_seconds, memory_mib, size_of
from vaccel_common import process
from vaccel_rpc.errors import InvalidArgument, Unavailable

_log = logging.getLogger("agent.engines.onnx")

#: What Python writes where memory runs out while it imports, or before it says anything.
_NO_MEMORY = ("MemoryError", "Cannot allocate memory", "bad_alloc", "failed to map segment", "cannot allocate", "out of memory")
#: Seconds after which a trial ends, however little CPU time it took: one upload is tried at a time.
_WALL_S = 120
#: Seconds between two looks at whether a trial was given up.
_LOOK_S = 0.1
_LONGEST = 500


def check_upload(path: Path, others: Sequence[str], memory: int, given_up: threading.Event | None = None) -> None:
    """Raises `InvalidArgument` with the reason where the file may not be loaded.

    ``others``: names of the files beside it that it refers to; ``memory``: bytes beside their size.
    Raises `Unavailable` where it could not be tried in time, as on an overloaded machine, and once it
    is ``given_up``.
    """
    command = [sys.executable, "-c", "from agent.engines.onnx.trial import main; main()", str(memory), str(path), *others]
    try:
        done = _run(command, given_up or threading.Event())
    except subprocess.TimeoutExpired:
        raise Unavailable(f"the model could not be tried within {_WALL_S} s; try again later") from None
    answer = done.stdout.decode(errors="replace").strip()
    if answer == ACCEPTED and not done.returncode:
        return
    errors = done.stderr.decode(errors="replace").strip()
    reason = answer.replace(str(path), "the file")[:_LONGEST] or _ended(done.returncode, errors, size_of(path, others), memory)
    raise InvalidArgument(f"the ONNX file is refused: {reason}")


def environment() -> dict[str, str]:
    """The environment of a process for a client's file: nothing of the agent's but what finds the same packages."""
    return {
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _run(command: Sequence[str], given_up: threading.Event) -> subprocess.CompletedProcess[bytes]:
    """Runs a trial to its end, or kills it. Raises ``TimeoutExpired``, and `Unavailable` once it is given up."""
    with subprocess.Popen(  # noqa: S603 our own module
        command, env=environment(), cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as trial:
        process.keep_code(trial.pid)
        try:
            output, errors = _written(trial, given_up)
        finally:
            trial.kill()  # without an effect on one that has ended
            code = process.exit_code(trial)
    return subprocess.CompletedProcess(command, code or 0, output, errors)


def _written(trial: subprocess.Popen[bytes], given_up: threading.Event) -> tuple[bytes, bytes]:
    """What a trial has written when it has ended."""
    end = time.monotonic() + _WALL_S
    while not given_up.is_set():
        try:
            return trial.communicate(timeout=_LOOK_S)
        except subprocess.TimeoutExpired:
            if time.monotonic() > end:
                raise
    raise Unavailable("the trial of the model was given up")


def _ended(code: int, errors: str, size: int, memory: int) -> str:
    """Why a trial without an answer ended. What it wrote of a failure that nobody expects is for the log."""
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"to load and try it takes more than {cpu_seconds(size)} s of CPU time"
    if code >= 0 and not any(phrase in errors for phrase in _NO_MEMORY):
        _log.error("The trial of a client's ONNX file failed: %s", errors[-_LONGEST:])
        return "it cannot be tried; the agent's log has the reason"
    if code >= 0:
        return f"it could not be loaded within {memory_mib(size, memory)} MiB of memory (--max-upload-memory)"
    return f"it crashes the program that loads it ({signal.Signals(-code).name})"
