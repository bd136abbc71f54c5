"""``--description`` and ``--limits`` of the export tool: what a model's file says of the model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from export.commands import main
from export.variants import main as variants
from tests.support.smallmodel import write_small_model
from vaccel_common.about import MAX_CHARS, About
from vaccel_common.modelfile import read_extras

ABOUT = About("It sorts tea from cake.", "It has seen no coffee.")
STATED = ("--description", ABOUT.description, "--limits", ABOUT.limits)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint such as training writes, and beside it the model file with what it is for: ``m.pt``."""
    folder = tmp_path_factory.mktemp("checkpoint")
    small = write_small_model(folder / "small.pt")
    entries = dict.fromkeys(("tokenizer.json", "labels.json", "config.json"), "")
    torch.save(torch.jit.load(str(small), _extra_files=entries).float().state_dict(), folder / "state.pt")
    for name, content in entries.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert checkpoint(folder, *STATED, "-o", str(folder / "m.pt")).exit_code == 0
    return folder


def checkpoint(folder: Path, *options: str) -> Result:
    """``python -m models.export checkpoint`` in this process."""
    return CliRunner().invoke(main, ["checkpoint", str(folder), *options])


def test_a_file_states_what_its_author_says(folder: Path, tmp_path: Path) -> None:
    """Where nothing is said there is no entry."""
    assert read_extras(folder / "m.pt").about == ABOUT
    assert checkpoint(folder, "-o", str(tmp_path / "silent.pt")).exit_code == 0
    assert read_extras(tmp_path / "silent.pt").about == About()
    assert b"about.json" not in (tmp_path / "silent.pt").read_bytes()


@pytest.mark.parametrize("commands", ["pt2", "tokenizer", "bf16"])
def test_what_is_made_of_a_file_states_it_too(folder: Path, tmp_path: Path, commands: str) -> None:
    """Its other form, its variants, and the tokenizer file of a function that has no model file."""
    group, out = (variants, "out.pt") if commands == "bf16" else (main, f"out.{commands}")
    done = CliRunner().invoke(group, [commands, str(folder / "m.pt"), "-o", str(tmp_path / out)])
    assert done.exit_code == 0, done.output
    assert read_extras(tmp_path / out).about == ABOUT


@pytest.mark.parametrize("option", ["--description", "--limits"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x" * (MAX_CHARS + 1), f"it has {MAX_CHARS + 1} characters; the limit is {MAX_CHARS}"),
        ("a\tb", "it has the character U+0009"),
    ],
)
def test_a_sentence_that_cannot_be_shown_is_refused(folder: Path, tmp_path: Path, option: str, text: str, says: str) -> None:
    """By the option's name, before anything is written."""
    done = checkpoint(folder, option, text, "-o", str(tmp_path / "out.pt"))
    assert done.exit_code == 2
    assert f"Invalid value for '{option}': {says}" in done.output
    assert not list(tmp_path.iterdir())
