"""A tool that cannot finish leaves what was there: on a full disk, by a signal, where a digest has no room or an input would go."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import onnx
import pytest
from click.testing import CliRunner, Result

from export.commands import main
from export.outputs import CannotWrite, drafts, place
from export.variants import main as variants
from tests.support.families import make
from tests.support.onnxmodels import foreign
from tests.support.paths import ROOT
from tests.support.smallmodel import write_small_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier as its author publishes it."""
    return make(tmp_path_factory.mktemp("outputs") / "hf", "distilbert", n_layers=1)


@contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    """Files cannot grow beyond ``size``: what is written fails as on a full disk, with another reason."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def _with_old_file(at: Path, name: str) -> Path:
    """A file of an earlier run with its digest."""
    (at / name).write_text("old")
    (at / f"{name}.sha256").write_text("old digest")
    return at / name


def _check_as_before(out: Path, done: Result, reason: str) -> None:
    assert done.output == f"Error: --out {out}: {reason}\n"
    assert done.exit_code == 1
    assert sorted(path.name for path in out.parent.iterdir()) == [out.name, f"{out.name}.sha256"]
    assert (out.read_text(), Path(f"{out}.sha256").read_text()) == ("old", "old digest")


@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
def test_a_full_disk_is_one_line_and_leaves_what_was_there(folder: Path, tmp_path: Path, suffix: str) -> None:
    """No other form is tried."""
    out = _with_old_file(tmp_path, f"out{suffix}")
    with _files_of_at_most(40_000):
        done = CliRunner().invoke(main, ["huggingface", str(folder), "-o", str(out)])
    _check_as_before(out, done, "File too large")


def test_a_disk_that_is_full_in_the_end_leaves_what_was_there(folder: Path, tmp_path: Path) -> None:
    """The verdict is added last, to a file that was whole before."""
    (tmp_path / "first").mkdir()
    options = ["huggingface", str(folder), "--full", "-o"]
    assert CliRunner().invoke(main, [*options, str(tmp_path / "first" / "out.pt")]).exit_code == 0
    size = (tmp_path / "first" / "out.pt").stat().st_size
    (tmp_path / "second").mkdir()
    out = _with_old_file(tmp_path / "second", "out.pt")
    with _files_of_at_most(size - 1):
        done = CliRunner().invoke(main, [*options, str(out)])
    _check_as_before(out, done, "File too large")


def test_a_variant_on_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    """bfloat16 is written in another way than the other forms."""
    (tmp_path / "out").mkdir()
    model, out = write_small_model(tmp_path / "small.pt"), _with_old_file(tmp_path / "out", "small.bf16.pt")
    (tmp_path / "texts.txt").write_text("tea\ncake\n")
    with _files_of_at_most(40_000):
        done = CliRunner().invoke(variants, ["bf16", str(model), "--texts", str(tmp_path / "texts.txt"), "-o", str(out)])
    _check_as_before(out, done, "File too large")


_SLEEPS = """
import sys, time
from pathlib import Path
from export.outputs import drafts

def main(prog_name):
    with drafts(Path(sys.argv[1])) as folder:
        (folder / "draft.pt").write_text("a part")
        print("begun", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_removes_the_drafts(tmp_path: Path, number: signal.Signals) -> None:
    """The exit code is that of shells."""
    (tmp_path / "sleeps.py").write_text(_SLEEPS)
    (tmp_path / "out").mkdir()
    # Where the tests run under nohup, it would ignore SIGHUP as they do.
    code = f"import signal; signal.signal({number:d}, signal.SIG_DFL); from export.launch import run; run('sleeps', 'sleeps')"
    command = [sys.executable, "-c", code, str(tmp_path / "out" / "m.pt")]
    paths = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    with subprocess.Popen(command, env=paths, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (128 + number, "")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_name_whose_digest_has_no_room_is_refused_first(folder: Path, tmp_path: Path) -> None:
    """And so is a folder; nothing is written."""
    out = tmp_path / f"{'l' * 250}.pt"
    done = CliRunner().invoke(main, ["huggingface", str(folder), "-o", str(out)])
    assert done.output == f"Error: --out {out}, with {out.name}.sha256 beside it: File name too long\n"
    (tmp_path / "there.pt").mkdir()
    done = CliRunner().invoke(main, ["huggingface", str(folder), "-o", str(tmp_path / "there.pt")])
    assert done.output == f"Error: --out {tmp_path / 'there.pt'} is a folder: the name of a file is needed\n"
    assert [path.name for path in tmp_path.iterdir()] == ["there.pt"]


def test_a_file_and_its_digest_are_both_new_or_neither(tmp_path: Path) -> None:
    """Whichever of both cannot be put into its place."""
    out, digest = tmp_path / "m.pt", tmp_path / "m.pt.sha256"

    def placed() -> str:
        with drafts(out) as folder:
            (folder / "draft.pt").write_text("new")
            # It becomes a folder while the model is checked.
            if obstacle == out:
                out.mkdir()
            return place(folder / "draft.pt", out)

    obstacle: Path = out
    for old in (None, "old"):
        if old:
            digest.write_text(old)
        with pytest.raises(CannotWrite, match="Is a directory"):
            placed()
        out.rmdir()
        assert (digest.read_text() if digest.exists() else None) == old
    digest.unlink()
    digest.mkdir()
    obstacle = digest
    with pytest.raises(IsADirectoryError):
        placed()
    assert list(tmp_path.iterdir()) == [digest]
    digest.rmdir()
    assert placed() == digest.read_text().split()[0]
    assert out.read_text() == "new"


@pytest.mark.parametrize(
    ("program", "command"),
    [
        (main, "tokenizer {model} -o {out}"),
        (main, "pt2 {model} -o {out}"),
        (main, "torchscript {model} --tokenizer {other} --labels {other} -o {out}"),
        (main, "checkpoint {folder} -o {folder}/state.pt"),
        (main, "onnx {onnx} --tokenizer {other} --labels {other} -o {onnx}"),
        (main, "onnx {folder} -o {onnx}"),
        (variants, "int8 {model} -o {out}"),
        (variants, "int8 --form onnx {onnx} -o {onnx}"),
        (variants, "bf16 {model} -o {out}"),
        (variants, "onnx {model} -o {out}"),
        (variants, "evaluate {other} {model} --data {other} -o {out}"),
        (variants, "evaluate {other} {model} --data {data} -o {data}"),
    ],
)
@pytest.mark.parametrize("link", [None, Path.symlink_to, Path.hardlink_to])
def test_no_command_overwrites_what_it_reads(
    tmp_path: Path, program: click.Command, command: str, link: Callable[[Path, Path], None] | None
) -> None:
    """By the same name or by a link: it is refused in one line, before anything is read."""
    model, out = write_small_model(tmp_path / "state.pt"), tmp_path / "link.pt"
    if link:
        link(out, model)
    else:
        out = model
    places = {"model": model, "out": out, "folder": tmp_path, "onnx": tmp_path / "model.onnx", "data": tmp_path / "tweets.csv"}
    places["other"] = tmp_path / "labels.json"
    places["other"].write_text('["a", "b", "c"]')
    places["data"].write_text("tweet,class\n")
    onnx.save(foreign(), places["onnx"])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    done = CliRunner().invoke(program, [word.format_map(places) for word in command.split()])
    assert done.exit_code == 1, done.output
    assert done.output.startswith("Error: --out ")
    assert done.output.endswith(", which is read: name another file\n")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_tokenizer_file_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    """On a full disk; and what is not a file is not replaced by one."""
    model = write_small_model(tmp_path / "small.pt")
    out = tmp_path / "small.tokenizer"
    out.write_text("old")
    with _files_of_at_most(1000):
        done = CliRunner().invoke(main, ["tokenizer", str(model), "-o", str(out)])
    assert done.output == f"Error: --out {out}: File too large\n"
    assert out.read_text() == "old"
    before = Path("/dev/full").stat().st_rdev
    done = CliRunner().invoke(main, ["tokenizer", str(model), "-o", "/dev/full"])
    assert done.output == "Error: --out /dev/full: No space left on device\n"
    assert Path("/dev/full").stat().st_rdev == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.pt", "small.pt.sha256", "small.tokenizer"]
