"""Tries a client's ONNX file, in a process of its own that `agent.engines.onnx.uploads` starts.

What crashes, hangs or takes all memory does so there, within limits that the process sets itself
before it reads the file. It writes `ACCEPTED`, or why the file is refused, on its standard output.
"""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.engines.onnx.graph import Survey, external_names, survey
from agent.engines.onnx.operators import refused
from vaccel_common.onnxfile import OnnxFileError
from vaccel_rpc.errors import Internal, InvalidArgument, RpcError

if TYPE_CHECKING:
    from agent.engines.measured import MeasuredProgram

#: What it writes for a file that may be loaded.
ACCEPTED = "accepted"
_MIB = 1 << 20


def cpu_seconds(size: int) -> int:
    """CPU time for files of ``size`` bytes together, in seconds; the model that ships takes about 2.

    Not an option, as other processes do not lengthen CPU time, and what a model needs grows with its
    size. A model that needs more can be put into the store, where it has no such limit.
    """
    return 10 + size // (32 * _MIB)


def memory_mib(size: int, memory: int) -> int:
    """Address space for files of ``size`` bytes together, in MiB; ``memory``: bytes beside these.

    The libraries take 200 MiB of it; a model takes its size twice while it loads, and then it runs.
    """
    return (memory + 4 * size) // _MIB


def check(found: Survey, others: Sequence[str] = ()) -> None:
    """Raises `InvalidArgument` unless a file with that in it is data alone, and complete.

    ``others``: the names of the files that came with it.
    """
    if found.is_external and not others:
        raise InvalidArgument("it has external data; all of an upload's weights must be in its file")
    if external_names(found) != tuple(sorted(others)):
        raise InvalidArgument("it has other external data than the files that came with it")
    if found.functions or found.training:
        raise InvalidArgument("it has functions or training information, which an upload may not have")
    if operator := refused(found.operators):
        raise InvalidArgument(f"it has the operator {operator[:100]!r}, which is not one of those that an upload may have")


def main() -> None:
    """Tries the file that the command line names, and writes the answer.

    Its arguments are the bytes of memory that it may use, the file, and the names of those beside it.
    """
    _, memory, path, *others = sys.argv
    print(_tried(Path(path), others, int(memory)))  # noqa: T201 for the process that started this one


def size_of(path: Path, others: Sequence[str]) -> int:
    """The bytes of a model's file and of the others beside it."""
    return sum(file.stat().st_size for file in (path, *(path.with_name(name) for name in others)))


def _tried(path: Path, others: Sequence[str], memory: int) -> str:
    _limit(size_of(path, others), memory)
    try:
        check(survey(path), others)
        # Imported within the limits, and not before there is something to load.
        from agent.engines.onnx.loading import load

        # As it runs: within the memory of its runs, and without what makes models of the store quicker.
        _run(load(path, 1, memory))
    except MemoryError:
        return "memory ran out"
    except (RpcError, OnnxFileError) as error:
        return str(error)
    return ACCEPTED


def _run(program: MeasuredProgram) -> None:
    """Runs examples, the longest too. Raises `ResourceExhausted` where they take too much memory."""
    layout = program.layout
    if layout is None:
        return
    for rows, length in ((1, 7), (2, layout.signature.max_length or 16)):
        # What fails for another reason fails so for its sender.
        with contextlib.suppress(Internal):
            program.run([layout.example(length, rows)], alone=False)


def _limit(size: int, memory: int) -> None:
    limit_process(memory_mib(size, memory))
    seconds = cpu_seconds(size)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def limit_process(space_mib: int) -> None:
    """Limits this process to so many MiB of address space. It writes no file from now on, not even of its memory when it crashes."""
    for kind, limit in {resource.RLIMIT_AS: space_mib * _MIB, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}.items():
        resource.setrlimit(kind, (limit, limit))
