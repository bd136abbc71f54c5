"""Every program of the project ends with one line and an exit code where its output or its files fail."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.paths import ROOT

#: Programs that start without torch.
PROGRAMS = (
    "agent", "function", "function.classifier", "knative", "models.tokenizer", "scripts.modelimage", "scripts.version",
    "benchmarks", "benchmarks.fuzz", "benchmarks.lines", "benchmarks.profile", "benchmarks.simulate",
)  # fmt: skip


def ended(program: str, shell: str, errors: Path) -> tuple[int, str]:
    """The exit code of a program's command in a shell, and what standard error had."""
    errors.write_text("")
    done = subprocess.run(["bash", "-c", f"{sys.executable} -m {program} {shell} 2>>{errors}"], cwd=ROOT, timeout=120)
    return done.returncode, errors.read_text()


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_that_cannot_be_printed_is_told(program: str, tmp_path: Path) -> None:
    """On a full disk and to a closed standard output: one line, exit code 1."""
    for redirection, reason in ((">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")):
        code, told = ended(program, f"--help {redirection}", tmp_path / "errors.txt")
        assert (code, told.partition(": ")[2]) == (1, f"standard output: {reason}\n")
    assert ended(program, "--help >/dev/null <&-", tmp_path / "errors.txt") == (0, "")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("models.tokenizer {copy} -o /dev/full", "Error: --out /dev/full: No space left on device\n"),
        ("models.tokenizer {copy} -o /nowhere/x", "Error: --out /nowhere/x: No such file or directory\n"),
        ("models.tokenizer Makefile -o /tmp/x", "Error: Makefile is not a model file"),
        ("scripts.modelimage models --name x -o /dev/full", "modelimage: /dev/full: No space left on device\n"),
        ("benchmarks --report Makefile", "Error: Makefile is not a file of results: "),
        ("knative deploy -f /nowhere", "knative: /nowhere: No such file or directory\n"),
        ("scripts.requirements agent /nowhere", "requirements.py: /nowhere/requirements.txt: No such file or directory\n"),
        ("scripts.requirements agnt /tmp", "requirements.py: pyproject.toml has no extra and no dependency group 'agnt'\n"),
    ],
)
def test_a_file_that_fails_is_told(command: str, says: str, tmp_path: Path) -> None:
    """By its name and the reason, without a traceback."""
    # The tool writes the digest of its model beside it.
    copy = shutil.copy(ROOT / "function/tweets.tokenizer", tmp_path)
    code, told = ended(command.format(copy=copy), "", tmp_path / "errors.txt")
    assert (code, told[: len(says)], told.count("\n")) == (1, says, 1)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("PORT=99999 python -m scripts.demo", "make run: PORT='99999': a whole number from 1 to 65535 is needed\n"),
        (
            "MODEL=models/no.pt python -m scripts.demo",
            "make run: MODEL='models/no.pt': no such file; the path of a model file is needed",
        ),
        ("python -m scripts.requirements agent", "requirements.py: give the names of extras and groups, separated by commas,"),
        (
            "python -m function models",
            "function: it takes no arguments, and has 'models'; the environment sets it, and --help lists its variables\n",
        ),
    ],
)
def test_a_wrong_usage_is_code_2(command: str, says: str, tmp_path: Path) -> None:
    """Also of the programs that have no options."""
    errors = tmp_path / "errors.txt"
    shell = f"{command.replace('python', sys.executable)} 2>{errors}"
    done = subprocess.run(["bash", "-c", shell], cwd=ROOT, timeout=120)
    told = errors.read_text()
    assert (done.returncode, says in told, "Traceback" in told) == (2, True, False), told


def test_every_command_is_a_program() -> None:
    """The class has what the tests above hold for some."""
    folders = ("agent", "benchmarks", "export", "function", "knative", "scripts", "training")
    sources = {path: path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py")}
    commands = [(path, found[1]) for path, source in sources.items() for found in re.finditer(_COMMAND, source)]
    assert len(commands) >= 18
    assert [str(path) for path, arguments in commands if "cls=" not in arguments] == []


_COMMAND = re.compile(r"@click\.(?:command|group)\(([^)]*)")

_WAITS = """
import time, click, sys
from vaccel_common.commandline import ToolCommand
@click.command(cls=ToolCommand)
def main(): print("begun", flush=True); time.sleep(30)
main()
"""


def test_an_interrupt_is_one_line_and_130() -> None:
    """128 and the signal's number, as shells have it."""
    with subprocess.Popen(
        [sys.executable, "-c", _WAITS], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.strip()) == (130, "Error: interrupted")


_NUMBERS = """
import pathlib, socket, sys
from vaccel_common import streams
streams.prepare()
pathlib.Path(sys.argv[1]).write_text(str(socket.socket().fileno()))
"""


def test_no_connection_takes_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    """Else what is printed would be sent to a peer."""
    script, number = tmp_path / "numbers.py", tmp_path / "number"
    script.write_text(_NUMBERS)
    shell = f"{sys.executable} {script} {number} <&- >&- 2>&-"
    subprocess.run(["bash", "-c", shell], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=True)
    assert int(number.read_text()) > 2
