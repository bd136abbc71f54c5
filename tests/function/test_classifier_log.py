"""vAccel's log in the command-line classifier: its variables, its lines, and what can go wrong."""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.cli.lines import InputLine
from function.cli.results import as_text
from function.cli.vaccellog import VaccelFormatter, configure, read_level
from function.core.classifier import Prediction
from function.core.options import Options
from tests.support.classifier import LINE, logged, run
from tests.support.paths import TWEETS
from tests.support.servers import ServerProcess
from vaccel_rpc.errors import Internal


def today(folder: Path, name: str) -> Path:
    """The file that upstream writes for ``VACCEL_LOG_FILE=name``."""
    return folder / f"{name}-{time.strftime('%Y-%m-%d')}.log"


def test_the_level_is_upstreams_number(agent: ServerProcess, texts: Path) -> None:
    """Errors alone by default, events at 3, everything at 4; on standard error, before the guide's lines are printed."""
    options = ("-m", str(TWEETS), "-f", str(texts))
    levels = [{level for level, _ in logged(run(agent, *options, env={"VACCEL_LOG_LEVEL": str(n)}).stderr)} for n in range(1, 5)]
    assert levels == [set(), set(), {"info"}, {"info", "debug"}]
    assert logged(run(agent, *options).stderr) == []
    done = run(agent, *options, env={"VACCEL_LOG_LEVEL": "3"})
    assert re.fullmatch(r"vaccel-classifier \d+\.\d+\.\d+\S*", logged(done.stderr)[0][1])
    assert "<info>" not in done.stdout


def test_the_log_file_is_todays_and_grows(agent: ServerProcess, texts: Path, tmp_path: Path) -> None:
    """Date and ending are added to the name, as upstream adds them; each run writes behind the one before."""
    env = {"VACCEL_LOG_LEVEL": "3", "VACCEL_LOG_FILE": str(tmp_path / "my")}
    first = run(agent, "-m", str(TWEETS), "-f", str(texts), env=env)
    assert "<info>" not in first.stderr
    one = len(logged(today(tmp_path, "my").read_text()))
    assert one >= 1
    run(agent, "-m", str(TWEETS), "-f", str(texts), env=env)
    assert len(logged(today(tmp_path, "my").read_text())) == 2 * one
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".log"] == [today(tmp_path, "my").name]


def test_standard_output_may_be_the_log(agent: ServerProcess, texts: Path) -> None:
    """With /dev/stdout the lines are where upstream's are: before those of the guide."""
    done = run(agent, "-m", str(TWEETS), "-f", str(texts), env={"VACCEL_LOG_LEVEL": "3", "VACCEL_LOG_FILE": "/dev/stdout"})
    assert re.fullmatch(LINE, done.stdout.splitlines()[0])
    assert "Processing 5 lines" in done.stdout
    assert logged(done.stderr) == []


def test_what_ends_the_work_is_also_in_a_log_file(texts: Path, tmp_path: Path) -> None:
    """Standard error has its one line, and the file an error, at every level."""
    log = today(tmp_path, "my")
    done = run(
        f"unix://{tmp_path}/nobody.sock", "-m", str(TWEETS), "-f", str(texts), env={"VACCEL_LOG_FILE": str(tmp_path / "my")}
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert logged(log.read_text()) == [("error", done.stderr.removeprefix("vaccel-classifier: ").rstrip())]
    done = run(f"unix://{tmp_path}/nobody.sock", "-m", str(TWEETS), "-f", str(texts))
    assert (done.returncode, done.stderr.count("\n"), logged(done.stderr)) == (1, 1, [])


def test_level_0_logs_no_error_either(texts: Path, tmp_path: Path) -> None:
    """It is libvaccel's "none": the file stays empty; standard error has its line."""
    env = {"VACCEL_LOG_FILE": str(tmp_path / "my"), "VACCEL_LOG_LEVEL": "0"}
    done = run(f"unix://{tmp_path}/nobody.sock", "-m", str(TWEETS), "-f", str(texts), env=env)
    assert (done.returncode, done.stderr.count("\n"), today(tmp_path, "my").read_text()) == (1, 1, "")


@pytest.mark.parametrize("level", range(5))
def test_a_level_has_a_number_and_a_word(level: int) -> None:
    """The words are those that libvaccel's lines have."""
    assert read_level(str(level)) == read_level(("none", "error", "warn", "info", "debug")[level]) == level


def test_each_day_has_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is logged after midnight is in the next day's file."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    configure(1, str(tmp_path / "my"))
    (handler,) = root.handlers
    record = logging.LogRecord("name", logging.ERROR, "path", 1, "late", (), None)
    for day in ("2025-06-22", "2025-06-23"):
        record.created = time.mktime(time.strptime(day, "%Y-%m-%d"))
        handler.handle(record)
        assert (tmp_path / f"my-{day}.log").read_text() == f"{day.replace('-', '.')}-00:00:00.00 - <error> late\n"
    handler.close()


def test_waiting_for_an_agent_is_a_warning(texts: Path, tmp_path: Path) -> None:
    """At level 2 the log says once what is waited for, and how long."""
    options = ("-m", str(TWEETS), "-f", str(texts), "--wait", "0.5")
    done = run(f"unix://{tmp_path}/nobody.sock", *options, env={"VACCEL_LOG_LEVEL": "2"})
    assert [level for level, _ in logged(done.stderr)] == ["warn"]
    assert logged(done.stderr)[0][1].endswith("trying again for 0.5 s")


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("VACCEL_LOG_LEVEL", "5", "one of 0 (none), 1 (error), 2 (warn), 3 (info), 4 (debug) is needed"),
        ("VACCEL_LOG_LEVEL", "loud", "one of 0 (none), 1 (error), 2 (warn), 3 (info), 4 (debug) is needed"),
        ("VACCEL_PROFILING_ENABLED", "maybe", "0, 1"),
        ("VACCEL_RPC_DIALECT", "0.9", "'auto', '0.7', '0.8'"),
    ],
)
def test_a_wrong_value_names_the_variable_and_the_valid_values(texts: Path, name: str, value: str, valid: str) -> None:
    """Exit code 2, as for a wrong option."""
    done = run("unix:///nowhere", "-m", str(TWEETS), "-f", str(texts), env={name: value})
    assert done.returncode == 2
    assert name in done.stderr
    assert valid in done.stderr


def test_a_log_file_that_cannot_be_opened_is_one_line(texts: Path, tmp_path: Path) -> None:
    """The work does not begin; exit code 1."""
    done = run("unix:///nowhere", "-m", str(TWEETS), "-f", str(texts), env={"VACCEL_LOG_FILE": f"{tmp_path}/none/my"})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"vaccel-classifier: {today(tmp_path / 'none', 'my')}: No such file or directory\n"


def test_a_log_file_on_a_full_disk_is_noted_once(agent: ServerProcess, texts: Path, tmp_path: Path) -> None:
    """The texts are classified; one line says that the log is not."""
    today(tmp_path, "my").symlink_to("/dev/full")
    env = {"VACCEL_LOG_LEVEL": "4", "VACCEL_LOG_FILE": str(tmp_path / "my")}
    done = run(agent, "-m", str(TWEETS), "-f", str(texts), env=env)
    assert (done.returncode, done.stdout.count("Prediction: ")) == (0, 5)
    notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1
    assert notes[0].endswith("No space left on device")


@given(st.text(), st.sampled_from([logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL]))
def test_no_message_begins_a_line(message: str, level: int) -> None:
    """Whatever is logged is one printable line in vAccel's form, and so is what fails."""
    formatter = VaccelFormatter()
    record = logging.LogRecord("name", level, "path", 1, "%s", (message,), None)
    line = formatter.format(record)
    assert line.isprintable()
    assert re.fullmatch(rf"{LINE}|.* - <\w+> ", line)
    try:
        raise ValueError(message)
    except ValueError as error:
        record.exc_info = (ValueError, error, None)
    assert formatter.format(record).isprintable()


def test_neither_a_label_nor_an_agents_message_begins_a_line_of_results() -> None:
    """A line break in either is shown escaped: each text has exactly one line."""
    forged = "neither\nLine 2: Duration: 1 ms Prediction: neither"
    item = Prediction(forged, 1.0, {}, {}, 1, truncated=False, windows=1)
    assert as_text(InputLine(1, "a"), item, 1.5, Options()) == f"Line 1: Duration: 1.5 ms Prediction: {forged}\n".replace(
        "\nL", "\\nL"
    )
    assert as_text(InputLine(1, "a"), Internal(forged), 1.5, Options()).count("\n") == 1
