"""What the benchmarks count of processes, threads and stacks."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from benchmarks import form_alone, stacks
from loadkit.processes import ended, spawn
from loadkit.usage import cpu_seconds, memory_mib, thread_seconds, tree


def test_processes_are_counted() -> None:
    """CPU time and memory of this process are measured."""
    assert os.getpid() in tree(os.getpid())
    assert cpu_seconds(os.getpid()) > 0
    memory = memory_mib(os.getpid())
    assert memory["rss"] >= memory["pss"] > 0


def test_threads_are_counted() -> None:
    """The main thread's time, and that of all others, also of those that have ended."""
    before = thread_seconds(os.getpid())
    worker = threading.Thread(target=lambda: sum(range(20_000_000)))
    worker.start()
    worker.join()
    after = thread_seconds(os.getpid())
    assert after[1] - before[1] > 0.1
    assert sum(after) == pytest.approx(time.process_time(), abs=0.2)


def test_stacks_belong_to_parts() -> None:
    """A sample counts for the innermost frame that a part knows, by thread."""
    lines = [
        "thread (0x1): MainThread;run (asyncio/base_events.py:640);_frame (agent/transports/ttrpc.py:9);from (wire.py:3) 3",
        "thread (0x2): worker 0;_work (agent/batching/batcher.py:1);_call (agent/engines/torch/program.py:3) 5",
        "thread (0x2): worker 0;_work (agent/batching/batcher.py:1);_join (agent/engines/torch/program.py:3) 2",
        "thread (0x3): request-1;somewhere (else.py:1) 1",
    ]
    assert stacks.counted(lines) == {
        "event loop: messages": 3,
        "other threads: model": 5,
        "other threads: joining, splitting": 2,
        "other threads: other": 1,
    }


@pytest.mark.parametrize(("rows", "expected"), [(2, 3.0), (2.25, 2.75), (3, 2.0)])
def test_a_mean_batch_size_lies_between_two(rows: float, expected: float) -> None:
    """What was measured at the sizes around it is interpolated."""
    assert form_alone.at({2: 3.0, 3: 2.0}, rows) == expected


def test_nothing_is_left_behind() -> None:
    """What a server started ends with it, even if the server does not see to it."""
    program = "import subprocess, sys, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    with ended(spawn([sys.executable, "-c", program], {})) as process:
        while len(pids := tree(process.pid)) < 2:
            assert process.poll() is None
    assert process.returncode
    while is_running(pids[1]):
        pass


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
