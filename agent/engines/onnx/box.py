"""The process in which a client's ONNX model runs; `agent.engines.onnx.boxprocess` starts it.

What crashes, hangs or takes all memory does so here. It sets its limits before it reads the file,
says what it has loaded, and then answers one run after the other until its parent ends or closes
the socket.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.engines.onnx import boxwire
from agent.engines.onnx.boxwire import BoxedModel
from agent.engines.onnx.trial import limit_process, memory_mib
from vaccel_rpc.errors import Internal, ResourceExhausted, RpcError

if TYPE_CHECKING:
    from agent.engines.onnx.program import OnnxProgram

#: MiB of address space for the libraries, and for each thread: its stack, and what it needs besides. The
#: trial has neither, so that a model that may run has room beside them.
_LIBRARIES_MIB, _THREAD_MIB = 256, 16
#: Bytes that are read at a time of what there is no memory for.
_PIECE = 1 << 16


@dataclass(frozen=True)
class BoxArguments:
    """What a process is given. Files are given as descriptors, which it inherits.

    ``channel``: the socket to its parent. ``life``: the end of a pipe whose other end its parent
    has. ``file``: the model, called ``name``. ``others``: the files that it refers to, by name.
    ``warm``: whether padding is tried and the cost is measured.
    """

    channel: int
    life: int
    file: int
    name: str
    others: dict[str, int]
    threads: int
    memory: int
    warm: bool

    @property
    def size(self) -> int:
        """Bytes of the files."""
        return sum(os.fstat(fd).st_size for fd in (self.file, *self.others.values()))


def main() -> None:
    """Loads and runs the model that the command line names."""
    arguments = BoxArguments(**json.loads(sys.argv[1]))
    _limit(arguments)
    _end_with_parent(arguments.life)
    with socket.socket(fileno=arguments.channel) as channel:
        _serve(channel, arguments)


def _limit(arguments: BoxArguments) -> None:
    own = _LIBRARIES_MIB + _THREAD_MIB * arguments.threads
    limit_process(memory_mib(arguments.size, arguments.memory) + own)


def _end_with_parent(life: int) -> None:
    """From now on SIGIO ends the process when the pipe's other end closes, whatever it computes.

    PR_SET_PDEATHSIG would end it with the thread that has started it.
    """
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([life], [], [], 0)[0]:  # closed before
        sys.exit()


def _serve(channel: socket.socket, arguments: BoxArguments) -> None:
    program = _answered(channel, partial(_load, arguments))
    if program is None:
        return
    while length := _exactly(channel, boxwire.LENGTH.size):
        _answered(channel, partial(_run, channel, program, length))


def _load(arguments: BoxArguments) -> tuple[list[boxwire.Buffer], OnnxProgram]:
    # Imported within the limits.
    from agent.engines.onnx.loading import load
    from agent.engines.onnx.sessions import flush_denormals

    flush_denormals()
    others = {name: _path(fd) for name, fd in arguments.others.items()}
    program = load(
        _path(arguments.file), arguments.threads, arguments.memory, name=arguments.name, others=others, warm=arguments.warm
    )
    signature = program.signature
    if signature is None:
        raise Internal("the model has no signature")
    return boxwire.message(boxwire.describe(BoxedModel(signature, program.joinable, program.cost))), program


def _run(channel: socket.socket, program: OnnxProgram, length: bytearray) -> tuple[list[boxwire.Buffer], None]:
    head = boxwire.head_of(_exactly(channel, *boxwire.LENGTH.unpack(length)))
    kinds = boxwire.kinds_of(head, sys.maxsize)
    batch = program.run(boxwire.tensors_of(kinds, memoryview(_exactly(channel, boxwire.size_of(kinds)))), alone=head["alone"])
    return boxwire.message({"seconds": batch.ended - batch.began}, batch.outputs), None


def _answered(channel: socket.socket, work: Callable[[], tuple[Sequence[boxwire.Buffer], Any]]) -> Any:
    """Sends the answer of the work, or why it failed; the work's result, None where it failed."""
    result = None
    try:
        answer, result = work()
    except RpcError as error:
        answer = boxwire.message(boxwire.error_head(error))
    except (MemoryError, ImportError) as error:
        # The agent has found the library, which cannot be loaded within the limits. numpy's reason ends a page of advice.
        reason = " ".join(str(error).rpartition("Original error was:")[2].split()) or "memory ran out"
        failure = ResourceExhausted(f"the model needs more memory than there is: {reason}", errno=errno.ENOMEM, reason="memory")
        answer = boxwire.message(boxwire.error_head(failure))
    for piece in answer:
        channel.sendall(piece)
    return result


def _exactly(channel: socket.socket, size: int) -> bytearray:
    """So many bytes; none where the parent has closed the socket. Raises ``MemoryError`` once it has read them."""
    try:
        data = bytearray(size)
    except MemoryError:
        while size and (count := len(channel.recv(min(size, _PIECE)))):
            size -= count
        raise
    view, at = memoryview(data), 0
    while at < size:
        count = channel.recv_into(view[at:])
        if not count:
            return bytearray()
        at += count
    return data


def _path(fd: int) -> Path:
    return Path(f"/proc/self/fd/{fd}")
