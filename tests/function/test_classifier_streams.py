"""The command-line classifier whose standard streams are full, closed or broken: one line and an exit code."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support.classifier import command
from tests.support.paths import ROOT, TWEETS
from tests.support.servers import ServerProcess

FULL = "vaccel-classifier: standard output: No space left on device\n"
CLOSED = "vaccel-classifier: standard output: Bad file descriptor\n"


def redirected(options: list[str], redirection: str, errors: Path) -> tuple[int, str]:
    """The exit code of the classifier in a shell, with standard error in a file, and what that has."""
    errors.write_text("")
    shell = f"set -o pipefail; {shlex.join(command(*options))} 2>{shlex.quote(str(errors))} {redirection}"
    done = subprocess.run(["bash", "-c", shell], cwd=ROOT, timeout=60, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    return done.returncode, errors.read_text()


@pytest.mark.parametrize(
    ("options", "redirection", "code", "says"),
    [
        ([], ">/dev/full", 1, FULL),
        (["--format", "jsonl", "--batch", "64"], ">/dev/full", 1, FULL),
        (["--format", "jsonl"], ">&-", 1, CLOSED),
        ([], ">&- <&-", 1, CLOSED),
        (["-f", "-", "--format", "jsonl"], "<&-", 1, "vaccel-classifier: standard input is closed\n"),
        (["-f", "-"], "<&- >&-", 1, CLOSED),
        (["-f", "-"], "< <(printf 'tea\\nna\\xefve\\n') >/dev/null", 1, "line 2 of standard input is not UTF-8 text: byte 2"),
        (["-f", "/tmp"], "", 1, "vaccel-classifier: /tmp: Is a directory\n"),
        (["--batch", "64"], "2>&- >/dev/null", 0, ""),
        (["--batch", "64"], "2>/dev/full >/dev/null", 0, ""),
        ([], ">&- 2>&- <&-", 1, ""),
        (["--batch", "0"], "2>/dev/full", 2, ""),
        (["--batch", "2"], "| head -1", 0, ""),
        (["--log-level", "3", "--log-file", "/dev/stdout"], ">/dev/full", 1, "note: standard output cannot be written: [Errno 28]"),
        (["--help"], ">/dev/full", 1, "Error: standard output: No space left on device\n"),
    ],
)  # fmt: skip
def test_a_stream_that_fails_is_one_line(
    agent: ServerProcess, tmp_path: Path, options: list[str], redirection: str, code: int, says: str
) -> None:
    """Neither a traceback nor ``None``, and no result is lost without a word; a note that cannot be written fails nothing."""
    texts, errors = tmp_path / "texts.txt", tmp_path / "errors.txt"
    texts.write_text("good morning\n" * 300)
    given = ["-m", str(TWEETS), "-f", str(texts), "--address", agent.addresses["unix"], *options]
    ended, told = redirected(given, redirection, errors)
    assert (ended, says in told) == (code, True), told
    assert "Traceback" not in told
    assert "None" not in told
    assert told.count("vaccel-classifier:") == (code == 1 and told != "" and "Error: " not in told)


def test_a_path_is_any_bytes(agent: ServerProcess, tmp_path: Path) -> None:
    """A file's name that is not UTF-8 is read; one that is not there is told with escapes."""
    path = os.fsencode(tmp_path) + b"/na\xefve.txt"
    Path(os.fsdecode(path)).write_text("good morning\n")
    for name, code, says in ((path, 0, b"neither 1"), (path + b"\n", 1, b"na\\udcefve.txt\\n: No such file or directory\n")):
        options: list[str | bytes] = [*command("-m", str(TWEETS), "--address", agent.addresses["unix"], "-f"), name]
        done = subprocess.run(options, cwd=ROOT, capture_output=True, timeout=120)
        assert (done.returncode, says in done.stderr) == (code, True), done.stderr
        assert done.stderr.count(b"\n") == 1


def test_a_terminal_of_another_encoding(agent: ServerProcess, tmp_path: Path) -> None:
    """What it cannot show is escaped, as on standard error."""
    texts = tmp_path / "kä\u4e2d.txt"
    texts.write_text("good morning\n")
    options = command("-m", str(TWEETS), "-f", str(texts), "--address", agent.addresses["unix"])
    done = subprocess.run(options, cwd=ROOT, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "latin-1"}, timeout=120)
    assert done.returncode == 0, done.stderr
    assert b"lines from: " + os.fsencode(tmp_path) + b"/k\xe4\\u4e2d.txt\n" in done.stdout
