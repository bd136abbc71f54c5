"""Stacks of a running process, sampled by py-spy, and the parts of the program that they belong to."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

#: Samples a second.
_RATE = 100
#: Part -> what its frames contain; a sample belongs to the part of the innermost frame that matches.
_PARTS = {
    "model": ("_call (agent/engines/torch", "(torch/"),
    "joining, splitting": ("agent/engines",),
    "messages": ("wire.py", "tensorfields.py", "_pb2", "tensors.py", "frames.py"),
    "batcher": ("agent/batching/",),
    "transport": ("transports/", "channels/", "selectors.py", "asyncio/"),
    "service": ("service.py", "operations/", "sessions.py", "endpoints.py", "layout.py"),
    "metrics, log": ("metrics.py", "prometheus_client", "logging/"),
    "tokenizer": ("tokens.py", "tokenizers/"),
    "HTTP server": ("uvicorn", "function/server/"),
    "application": ("flask/", "werkzeug/", "function/web/", "function/core/"),
}


def flame_graph(pid: int, seconds: float, out: Path, title: str) -> None:
    """Writes a flame graph of a process as SVG."""
    command = _record(pid, seconds, out, "-f", "flamegraph", "--function")
    out.write_text(out.read_text().replace(command, title))


def shares(pid: int, seconds: float, *options: str) -> dict[str, float]:
    """The share of each thread's parts in the samples of a process, as ``thread: part``; threads are
    the ``event loop`` and ``other threads``.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "stacks"
        _record(pid, seconds, out, "-f", "raw", "--threads", *options)
        counts = counted(out.read_text().splitlines())
    total = sum(counts.values()) or 1
    return {name: count / total for name, count in counts.most_common()}


def counted(stacks: Iterable[str]) -> Counter[str]:
    """Samples by thread and part, of lines as py-spy writes them: ``thread;frame;...;frame count``."""
    counts: Counter[str] = Counter()
    for stack in stacks:
        frames, _, count = stack.rpartition(" ")
        thread, *inner = frames.split(";")
        counts[f"{'event loop' if 'MainThread' in thread else 'other threads'}: {part_of(inner)}"] += int(count)
    return counts


def part_of(frames: Iterable[str]) -> str:
    """The part to which a stack belongs; its frames are in the order of calls."""
    for frame in reversed(list(frames)):
        for part, signs in _PARTS.items():
            if any(sign in frame for sign in signs):
                return part
    return "other"


def _record(pid: int, seconds: float, out: Path, *options: str) -> str:
    spy = str(Path(sys.executable).with_name("py-spy"))
    command = [spy, "record", "-p", str(pid), "-d", str(max(1, round(seconds))), "-r", str(_RATE), "-o", str(out), *options]
    subprocess.run(command, check=True, capture_output=True)
    return " ".join(command)
