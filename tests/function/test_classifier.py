"""The command-line classifier, as a process, against a real agent."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from export.tokenizer import write_tokenizer_file
from tests.support.classifier import LINE, TEXTS, command, guide_forms, run, unlike
from tests.support.paths import ROOT, TWEETS
from tests.support.servers import ServerProcess, SpawnAgent
from tests.support.terminal import on_terminal, overwritten


def test_the_guides_lines(agent: ServerProcess, texts: Path) -> None:
    """Standard output is what the guide shows, one numbered line for each text; the summary goes to standard error."""
    done = run(agent, "-m", str(TWEETS), "-f", str(texts))
    assert done.returncode == 0, done.stderr
    assert unlike(done.stdout, guide_forms(texts, 5)) == []
    assert re.search(r"5 lines in .* lines/s; p50 .* p99 .*; neither \d", done.stderr)


@pytest.mark.parametrize("options", [("--batch", "2"), ("--batch", "1", "--jobs", "4"), ("--batch", "64", "--jobs", "2")])
def test_order_does_not_depend_on_batches_and_jobs(agent: ServerProcess, texts: Path, options: tuple[str, ...]) -> None:
    """Every line gets the same label at the same place, whatever is in flight."""
    plain = [
        json.loads(line) for line in run(agent, "-m", str(TWEETS), "-f", str(texts), "--format", "jsonl").stdout.splitlines()
    ]
    other = [
        json.loads(line)
        for line in run(agent, "-m", str(TWEETS), "-f", str(texts), "--format", "jsonl", *options).stdout.splitlines()
    ]
    assert [row["text"] for row in plain] == [row["text"] for row in other] == TEXTS
    assert [row["line"] for row in other] == [1, 2, 3, 4, 5]
    for expected, actual in zip(plain, other, strict=True):
        assert expected["scores"] == pytest.approx(actual["scores"], abs=1e-4)


def test_standard_input_is_answered_as_it_arrives(agent: ServerProcess) -> None:
    """A line gets its answer before the next one is sent, whatever the batch."""
    process = subprocess.Popen(
        [*command("-m", str(TWEETS), "-f", "-", "--batch", "32", "--address", agent.addresses["unix"])],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "Processing lines from: -\n"
    for _ in range(4):
        process.stdout.readline()
    for number in (1, 2):
        process.stdin.write("good morning\n")
        process.stdin.flush()
        assert process.stdout.readline().startswith(f"Line {number}: ")
    process.stdin.close()
    assert process.wait(20) == 0


def test_a_csv_is_read_by_its_tweet_column(agent: ServerProcess, tmp_path: Path) -> None:
    """The column `tweet` is read; quotes and line breaks within a field are one text."""
    path = tmp_path / "data.csv"
    path.write_text('count,tweet\n3,"a ""nice"" day, isn\'t it"\n3,"two\nlines"\n')
    done = run(agent, "-m", str(TWEETS), "-f", str(path), "--format", "jsonl")
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == ['a "nice" day, isn\'t it', "two\nlines"]
    path.write_text("count,text\n3,a\n")
    assert "no column 'tweet'" in run(agent, "-m", str(TWEETS), "-f", str(path)).stderr


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_what_was_classified_is_written(agent: ServerProcess, tmp_path: Path, sent: int, code: int) -> None:
    """Ctrl-C, and what ends a container: whole lines in order, a summary, exit code 128 and the signal's number, no traceback."""
    path = tmp_path / "many.txt"
    path.write_text("good morning to you all\n" * 20_000)
    out = tmp_path / "out.txt"
    with out.open("w") as file:
        process = subprocess.Popen(
            [*command("-m", str(TWEETS), "-f", str(path), "--batch", "4", "--address", agent.addresses["unix"])],
            stdout=file, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        while out.read_text().count("Line ") < 20:
            time.sleep(0.02)
        process.send_signal(sent)
        _, errors = process.communicate(timeout=20)
    lines = out.read_text().splitlines()[5:]
    assert process.returncode == code
    assert "Traceback" not in errors
    assert errors.startswith("interrupted after ")
    assert out.read_text().endswith("\n")
    assert [int(line.split(":")[0].removeprefix("Line ")) for line in lines] == list(range(1, len(lines) + 1))


def test_interrupted_before_the_first_result_it_says_so(texts: Path, tmp_path: Path) -> None:
    """While it waits for an agent: one line, as there is no summary yet."""
    options = command(
        "-m", str(TWEETS), "-f", str(texts), "--wait", "60", "--log-level", "2", "--address", f"unix://{tmp_path}/a.sock"
    )
    with subprocess.Popen(options, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stderr
        assert "trying again" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20)[1] == "vaccel-classifier: interrupted\n"
        assert process.returncode == 130


def test_a_tokenizer_file_is_enough(agent: ServerProcess, texts: Path, tmp_path: Path) -> None:
    """An image without the weights: the agent has the model; one that has not says which is missing, and nothing is sent."""
    tokenizer = tmp_path / "tweets.tokenizer"
    write_tokenizer_file(TWEETS, tokenizer)
    done = run(agent, "-m", str(tokenizer), "-f", str(texts))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Prediction: ") == 5
    other = tmp_path / "other.tokenizer"
    with zipfile.ZipFile(tokenizer) as source, zipfile.ZipFile(other, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data if name != "model.json" else json.dumps({"name": "other", "sha256": "0" * 64}))
    done = run(agent, "-m", str(other), "-f", str(texts))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"no model with sha256:{'0' * 64}" in done.stderr


def test_it_waits_for_an_agent_that_is_not_there_yet(spawn_agent: SpawnAgent, texts: Path, tmp_path: Path) -> None:
    """Both containers of a pod start together; without --wait it says at once that nobody listens."""
    address = f"unix://{tmp_path}/late.sock"
    assert run(address, "-m", str(TWEETS), "-f", str(texts)).stderr.startswith("vaccel-classifier: UNAVAILABLE: unix://")
    process = subprocess.Popen(
        command("-m", str(TWEETS), "-f", str(texts), "--address", address, "--wait", "100"), stdout=subprocess.PIPE, cwd=ROOT
    )
    spawn_agent("-a", address, "--models", str(TWEETS.parent), ready=False)
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    assert out.count(b"Prediction: ") == 5


def test_a_killed_agent_is_an_error_and_no_hang(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """What was classified is there, one line says what happened, exit code 1."""
    own = spawn_agent("--models", str(TWEETS.parent), "--preload", "tweets")
    path, out = tmp_path / "many.txt", tmp_path / "out.txt"
    path.write_text("good morning to you all\n" * 20_000)
    with out.open("w") as file:
        process = subprocess.Popen(
            [*command("-m", str(TWEETS), "-f", str(path), "--batch", "4", "--jobs", "2", "--address", own.addresses["unix"])],
            stdout=file, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        while out.read_text().count("Line ") < 20:
            time.sleep(0.02)
        own.stop(signal.SIGKILL)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors.startswith("vaccel-classifier: UNAVAILABLE")
    assert errors.count("\n") == 1
    assert out.read_text().endswith("\n")


def test_a_killed_agent_while_waiting_for_a_line(spawn_agent: SpawnAgent) -> None:
    """The line that comes next ends it, with one line and exit code 1: the waiting reader does not make the interpreter abort."""
    own = spawn_agent("--models", str(TWEETS.parent), "--preload", "tweets")
    process = subprocess.Popen(
        command("-m", str(TWEETS), "-f", "-", "--address", own.addresses["unix"]),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    process.stdin.write("good morning\n")
    process.stdin.flush()
    while not process.stdout.readline().startswith("Line 1"):
        pass
    own.stop(signal.SIGKILL)
    process.stdin.write("again\n")
    process.stdin.flush()
    assert process.wait(20) == 1
    assert process.stderr
    assert process.stderr.read().count("\n") == 1


def test_a_reader_that_has_enough_ends_it_quietly(agent: ServerProcess, tmp_path: Path) -> None:
    """When the reader closes the pipe, as `head` does, the classifier ends without a message."""
    path = tmp_path / "many.txt"
    path.write_text("good morning to you all\n" * 3000)
    process = subprocess.Popen(
        [*command("-m", str(TWEETS), "-f", str(path), "--batch", "32", "--address", agent.addresses["unix"])],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 0
    assert process.stderr.read() == ""


def test_mistakes_are_one_line_and_exit_code_1(agent: ServerProcess, texts: Path, tmp_path: Path) -> None:
    """No file, a binary file, no model, not a model, no agent; a wrong option is 2."""
    plain = tmp_path / "plain.pt"
    plain.write_text("not a model")
    for options, says in (
        (("-m", str(TWEETS), "-f", "/nowhere.txt"), "/nowhere.txt: No such file"),
        (("-m", str(TWEETS), "-f", str(TWEETS)), "is a binary file"),
        (("-m", "/nowhere.pt", "-f", str(texts)), "/nowhere.pt: No such file"),
        (("-m", str(plain), "-f", str(texts)), "is not a model file"),
    ):
        done = run(agent, *options)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert says in done.stderr
    done = run(f"unix://{tmp_path}/nobody.sock", "-m", str(TWEETS), "-f", str(texts))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert run(agent, "-m", str(TWEETS), "-f", str(texts), "--batch", "0").returncode == 2


def test_on_a_terminal_each_line_stands_alone(agent: ServerProcess, texts: Path) -> None:
    """The progress bar on the same terminal is on none of the guide's lines, nor on those of the log."""
    env = {"VACCEL_RPC_ADDRESS": agent.addresses["unix"], "VACCEL_LOG_LEVEL": "3", "VACCEL_PROFILING_ENABLED": "1"}
    code, text = on_terminal(command("-m", str(TWEETS), "-f", str(texts)), env)
    assert code == 0, text
    lines = [line for line in overwritten(text) if not re.fullmatch(LINE, line)]
    assert unlike("\n".join(lines[:-2]), guide_forms(texts, 5)) == []
    assert re.match(r"100%\|.*\| 5/5 \[", lines[-2])
    assert lines[-1].startswith("5 lines in ")
