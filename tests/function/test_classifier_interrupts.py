"""SIGINT and SIGTERM while the command-line classifier writes results: to a reader that is slow, or takes nothing."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.classifier import command
from tests.support.paths import ROOT, TWEETS
from tests.support.servers import ServerProcess

#: Bytes that the pipe of standard output takes, more than those of a result, and results in one batch, which are many times as many.
PIPE, RESULT, TEXTS = 4096, 512, 256
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@contextmanager
def _in_a_write(agent: ServerProcess, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A classifier whose results fill a pipe, and the pipe's other end."""
    source = folder / "texts.txt"
    source.write_text("good morning to you all\n" * TEXTS)
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE)
    options = ("-m", str(TWEETS), "-f", str(source), "--format", "jsonl", "--batch", str(TEXTS), "--address")
    with (
        (folder / "errors.txt").open("wb") as errors,
        subprocess.Popen(command(*options, agent.addresses["unix"]), stdout=writing, stderr=errors, cwd=ROOT) as process,
    ):
        os.close(writing)
        try:
            end = time.monotonic() + 60
            while _unread(reading) <= PIPE - RESULT:
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.02)
            yield process, reading
        finally:
            os.close(reading)
            process.kill()


def _unread(pipe: int) -> int:
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), "little")


def _summed_up(folder: Path) -> int:
    """The number of lines in the summary of an interrupted run, which is all that it says."""
    told = re.fullmatch(r"interrupted after (\d+) lines in [^\n]+\n", (folder / "errors.txt").read_text())
    assert told
    return int(told[1])


@pytest.mark.parametrize(("sent", "code"), SIGNALS)
def test_results_are_written_to_their_end(agent: ServerProcess, tmp_path: Path, sent: int, code: int) -> None:
    """A reader that is slow gets every result that was begun, as a whole line, and the summary counts as many."""
    with _in_a_write(agent, tmp_path) as (process, reading):
        process.send_signal(sent)
        with open(reading, "rb", closefd=False) as file:
            lines = file.read().split(b"\n")
        assert process.wait(60) == code
    assert lines.pop() == b""
    assert [json.loads(line)["line"] for line in lines] == list(range(1, _summed_up(tmp_path) + 1))
    assert len(lines) == TEXTS


@pytest.mark.parametrize(("sent", "code"), SIGNALS)
def test_a_reader_that_takes_nothing_is_not_waited_for(agent: ServerProcess, tmp_path: Path, sent: int, code: int) -> None:
    """The work ends all the same, and the summary counts what the pipe took."""
    with _in_a_write(agent, tmp_path) as (process, reading):
        process.send_signal(sent)
        assert process.wait(60) == code
        assert 0 < _summed_up(tmp_path) == os.read(reading, PIPE).count(b"\n") < TEXTS


def test_a_second_signal_ends_a_write(agent: ServerProcess, tmp_path: Path) -> None:
    """Of two that arrive together either may be the first, which the exit code says."""
    with _in_a_write(agent, tmp_path) as (process, reading):
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (143, 130)
        assert 0 < _summed_up(tmp_path) == os.read(reading, PIPE).count(b"\n") < TEXTS
