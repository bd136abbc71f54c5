"""The agent's side of one process that runs a client's model: its start, its answers and its end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent.engines.onnx import boxwire
from agent.engines.onnx.box import BoxArguments
from agent.engines.onnx.boxwire import BoxMessageError
from agent.engines.onnx.uploads import environment
from vaccel_common import process
from vaccel_rpc.errors import Internal, Unavailable

_MAIN = "from agent.engines.onnx.box import main; main()"
#: Seconds for a process that has closed its socket to end.
_END_S = 2.0


class BoxFiles:
    """The files of a client's model, opened, so that processes can load them for as long as it runs.

    ``path``: the model's own, which may be a link to a descriptor of the store's. ``name``: the
    model's. ``others``: names of the files beside it. Raises ``OSError``.
    """

    def __init__(self, path: Path, name: str, others: Sequence[str]) -> None:
        self.name = name
        self._closing = contextlib.ExitStack()
        with contextlib.ExitStack() as closing:
            self.own = _opened(path, closing)
            self.others = {name: _opened(path.with_name(name), closing) for name in others}
            self._closing = closing.pop_all()

    def close(self) -> None:
        """Closes them."""
        self._closing.close()


class BoxProcess:
    """A process, started now; `ask` it first without a message for what it has loaded.

    ``memory``: bytes that it may use beside those of the files. ``warm``: whether it measures the
    model's cost. Raises `Unavailable` where it cannot be started. Its methods are for one thread at a time.
    """

    def __init__(self, files: BoxFiles, threads: int, memory: int, *, warm: bool) -> None:
        self._lock, self._open = threading.Lock(), True
        try:
            # Ours are closed at its end, and its own once it has them.
            with contextlib.ExitStack() as ours, contextlib.ExitStack() as its:
                self._channel, channel = socket.socketpair()
                ours.callback(self._channel.close)
                its.callback(channel.close)
                read, write = os.pipe()
                ours.callback(os.close, write)
                its.callback(os.close, read)
                arguments = BoxArguments(channel.fileno(), read, files.own, files.name, files.others, threads, memory, warm)
                self._process = _started(arguments)
                process.keep_code(self.pid)
                self._closing = ours.pop_all()
        except OSError as error:
            raise Unavailable(f"no process for the model can be started: {error.strerror}") from None

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended, and is not about to."""
        return self._open and self._process.poll() is None

    @property
    def resident(self) -> int:
        """Bytes that it has in memory; 0 once it has ended."""
        try:
            return process.resident_memory(self.pid)
        except (OSError, IndexError):
            return 0

    def ask(
        self, message: Sequence[boxwire.Buffer], until: float, most: int
    ) -> tuple[Mapping[str, Any], boxwire.Kinds, bytearray]:
        """The head of the answer to a message, what tensors it has, none with an error, and their bytes, at most ``most``.

        ``until``: monotonic seconds, at which ``TimeoutError`` is raised. Raises `BoxMessageError` for
        an answer that is malformed, and `Internal` where the process has ended.
        """
        try:
            for piece in message:
                self._channel.settimeout(_left(until))
                self._channel.sendall(piece)
            (length,) = boxwire.LENGTH.unpack(self._receive(boxwire.LENGTH.size, until))
            if length > boxwire.MAX_HEAD:
                raise BoxMessageError(f"its head has {length} bytes, more than {boxwire.MAX_HEAD}")
            head = boxwire.head_of(self._receive(length, until))
            kinds = [] if "error" in head else boxwire.kinds_of(head, most)
            return head, kinds, self._receive(boxwire.size_of(kinds), until)
        except TimeoutError:
            raise
        except (EOFError, OSError):
            raise Internal(self._ended()) from None

    def end(self) -> None:
        """Ends it; once more does nothing."""
        with self._lock:
            is_open, self._open = self._open, False
        if not is_open:
            return
        self._closing.close()
        self._process.kill()
        process.reaped_code(self.pid)
        # To give back gigabytes takes it a while.
        threading.Thread(target=self._process.wait, name="end of a model's process", daemon=True).start()

    def _receive(self, size: int, until: float) -> bytearray:
        data, at = bytearray(size), 0
        view = memoryview(data)
        while at < size:
            self._channel.settimeout(_left(until))
            count = self._channel.recv_into(view[at:])
            if not count:
                raise EOFError
            at += count
        return data

    def _ended(self) -> str:
        """Why a process ended that should not have."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        code = process.exit_code(self._process)
        how = f" ({signal.Signals(-code).name})" if code and code < 0 else f" (exit code {code})" if code else ""
        return f"the model ended its process{how}"


def _started(arguments: BoxArguments) -> subprocess.Popen[bytes]:
    # What it might write is a stranger's, and no line for the agent's log.
    return subprocess.Popen(  # noqa: S603 our own module
        [sys.executable, "-c", _MAIN, json.dumps(asdict(arguments))],
        # More arenas would take address space, which is limited, for each thread.
        env={**environment(), "MALLOC_ARENA_MAX": "2"},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(arguments.channel, arguments.life, arguments.file, *arguments.others.values()),
    )


def _opened(path: Path, closing: contextlib.ExitStack) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    closing.callback(os.close, fd)
    return fd


def _left(until: float) -> float:
    """The seconds until then. Raises ``TimeoutError`` where it is past."""
    if (left := until - time.monotonic()) <= 0:
        raise TimeoutError
    return left
