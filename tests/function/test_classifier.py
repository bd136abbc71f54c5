"""The command-line classifier, as a process, against a real agent."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from export.tokenizer import write_tokenizer_file
from function.cli.vocab import VocabError, read_vocab
from tests.support.paths import ROOT, TWEETS
from tests.support.servers import ServerProcess, SpawnAgent

TEXTS = ["What a lovely day", "the match was on very late", "", "tea and cake at four", "see you tomorrow, then"]


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "function.classifier", *options]


def run(agent: ServerProcess | str, *options: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    address = agent if isinstance(agent, str) else agent.addresses["unix"]
    return subprocess.run(
        [*command(*options), "--address", address], capture_output=True, text=True, input=stdin, cwd=ROOT, timeout=60
    )


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n")
    return path


def test_the_guides_lines(agent: ServerProcess, texts: Path) -> None:
    """Standard output is what the guide shows, one numbered line for each text; the summary goes to standard error."""
    done = run(agent, "-m", str(TWEETS), "-f", str(texts))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == [f"Processing 5 lines from: {texts}", "== [Vocab Loaded] =="]
    assert re.fullmatch(r"Created new model resource \d+", lines[2])
    assert re.fullmatch(r"Initialized vAccel session \d+", lines[3])
    for number, line in enumerate(lines[4:], 1):
        assert re.fullmatch(rf"Line {number}: Duration: [\d.]+ ms Prediction: (hate-speech|offensive-language|neither)", line)
    assert len(lines) == 9
    assert re.search(r"5 lines in .* lines/s; p50 .* p99 .*; neither \d", done.stderr)


@pytest.mark.parametrize("options", [("--batch", "2"), ("--batch", "1", "--jobs", "4"), ("--batch", "64", "--jobs", "2")])
def test_order_does_not_depend_on_batches_and_jobs(agent: ServerProcess, texts: Path, options: tuple[str, ...]) -> None:
    """The same labels at the same lines, whatever is in flight."""
    plain = [
        json.loads(line) for line in run(agent, "-m", str(TWEETS), "-f", str(texts), "--format", "jsonl").stdout.splitlines()
    ]
    other = [
        json.loads(line)
        for line in run(agent, "-m", str(TWEETS), "-f", str(texts), "--format", "jsonl", *options).stdout.splitlines()
    ]
    assert [row["text"] for row in plain] == [row["text"] for row in other] == TEXTS
    assert [row["line"] for row in other] == [1, 2, 3, 4, 5]
    for one, two in zip(plain, other, strict=True):
        assert one["scores"] == pytest.approx(two["scores"], abs=1e-4)


def test_standard_input_is_answered_as_it_arrives(agent: ServerProcess) -> None:
    """A line gets its answer before the next one is sent, whatever the batch."""
    process = subprocess.Popen(
        [*command("-m", str(TWEETS), "-f", "-", "--batch", "32", "--address", agent.addresses["unix"])],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "Processing lines from: -\n"
    for _ in range(3):
        process.stdout.readline()
    for number in (1, 2):
        process.stdin.write("good morning\n")
        process.stdin.flush()
        assert process.stdout.readline().startswith(f"Line {number}: ")
    process.stdin.close()
    assert process.wait(20) == 0


def test_a_csv_is_read_by_its_tweet_column(agent: ServerProcess, tmp_path: Path) -> None:
    """Quotes and line breaks within a field are one text."""
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
    lines = out.read_text().splitlines()[4:]
    assert process.returncode == code
    assert "Traceback" not in errors
    assert errors.startswith("interrupted after ")
    assert out.read_text().endswith("\n")
    assert [int(line.split(":")[0].removeprefix("Line ")) for line in lines] == list(range(1, len(lines) + 1))


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
    """As in `| head`: no traceback, no complaint."""
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


class Foreign(nn.Module):
    """Takes the guide's inputs, ids [1, 32] and a mask [1, 1, 32]; counts the real tokens of even id."""

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        assert ids.shape == (1, 32)
        assert mask.shape == (1, 1, 32)
        real = mask[:, 0, :]
        return torch.stack([((ids % 2 == 0) * real).sum(1), (ids % 2 * real).sum(1), real.sum(1) * 0], 1).float()


class NotFinite(nn.Module):
    """Gives NaN for a text of two words."""

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        lengths = mask[:, 0, :].sum(1, keepdim=True).float()
        return torch.cat([lengths, lengths, torch.where(lengths == 4, float("nan"), lengths)], 1) + 0 * ids.sum()


VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "tea", "cake", "and", "un", "##kind"]


@pytest.mark.parametrize("form", ["token", "token id"])
def test_the_guides_foreign_model(agent: ServerProcess, tmp_path: Path, form: str) -> None:
    """A model without a tokenizer is uploaded and gets WordPiece ids, padded to 32, by either kind of vocabulary file."""
    model, vocab, source = tmp_path / "cnn_trace.pt", tmp_path / "vocab.txt", tmp_path / "t.txt"
    torch.jit.save(torch.jit.script(Foreign()), str(model))
    vocab.write_text("".join(f"{token} {number}\n" if form == "token id" else f"{token}\n" for number, token in enumerate(VOCAB)))
    source.write_text("tea and unkind cake\n")
    done = run(agent, "-m", str(model), "-v", str(vocab), "-f", str(source), "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    # [CLS] 2, tea 4, and 6, un 7, ##kind 8, cake 5, [SEP] 3: four even ids, three odd.
    assert row["tokens"] == 7
    assert row["label"] == "hate-speech"
    assert row["scores"]["hate-speech"] / row["scores"]["offensive-language"] == pytest.approx(2.718281828, rel=1e-5)


def test_an_output_that_is_not_finite_is_an_error(agent: ServerProcess, tmp_path: Path) -> None:
    """The line is named and ends the work; with --errors item it has an error of its own. NaN is never printed."""
    model, vocab, source = tmp_path / "cnn_trace.pt", tmp_path / "vocab.txt", tmp_path / "t.txt"
    torch.jit.save(torch.jit.script(NotFinite()), str(model))
    vocab.write_text("\n".join(VOCAB))
    source.write_text("tea\ntea cake\ncake\n")
    options = ("-m", str(model), "-v", str(vocab), "-f", str(source), "--format", "jsonl", "--logits")
    done = run(agent, *options)
    assert done.returncode == 1
    assert "line 2: INTERNAL: the model's output is not finite" in done.stderr
    done = run(agent, *options, "--errors", "item")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row.get("error", {}).get("status") for row in rows] == [None, 502, None]
    assert "NaN" not in done.stdout


@pytest.mark.parametrize("option", [("--threshold", "nan"), ("--threshold", "1e400"), ("--top-k", "9" * 5000)])
def test_a_number_that_cannot_be_is_one_message(agent: ServerProcess, texts: Path, option: tuple[str, str]) -> None:
    """And no traceback."""
    done = run(agent, "-m", str(TWEETS), "-f", str(texts), *option)
    assert done.returncode in (1, 2)
    assert option[0].strip("-").replace("-", "_") in done.stderr.replace("--top-k", "top_k")
    assert "Traceback" not in done.stderr


def test_a_foreign_model_needs_a_vocabulary_and_ours_ignores_it(agent: ServerProcess, tmp_path: Path, texts: Path) -> None:
    """Both are said in one line."""
    model = tmp_path / "cnn_trace.pt"
    torch.jit.save(torch.jit.script(Foreign()), str(model))
    done = run(agent, "-m", str(model), "-f", str(texts))
    assert done.returncode == 1
    assert "with -v" in done.stderr
    done = run(agent, "-m", str(TWEETS), "-v", "vocab.txt", "-f", str(texts))
    assert done.returncode == 0
    assert "-v vocab.txt is ignored" in done.stderr


def test_what_is_no_vocabulary_is_said(tmp_path: Path) -> None:
    """The error names the tokens that are missing."""
    path = tmp_path / "vocab.txt"
    path.write_text("tea\ncake\n")
    with pytest.raises(VocabError, match=r"\[PAD\], \[UNK\], \[CLS\], \[SEP\]"):
        read_vocab(path)
