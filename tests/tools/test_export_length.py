"""A maximum length that has no room for a text is refused at once, by the name of its option."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from click.testing import CliRunner

from export.commands import main
from tests.support.families import make
from tests.support.onnxmodels import foreign
from tests.support.smallmodel import write_small_model
from tests.tools.test_export_families import export, verdict


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A classifier's folder, a checkpoint of the training, and the parts of other sources."""
    at = tmp_path_factory.mktemp("length")
    small = write_small_model(at / "small.pt")
    entries = dict.fromkeys(("tokenizer.json", "labels.json", "config.json"), "")
    state = torch.jit.load(str(small), _extra_files=entries).float().state_dict()
    (at / "checkpoint").mkdir()
    torch.save(state, at / "checkpoint" / "state.pt")
    for name, content in entries.items():
        (at / "checkpoint" / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    onnx.save(foreign(), at / "model.onnx")
    return {
        "folder": make(at / "hf", "bert", num_hidden_layers=1),
        "checkpoint": at / "checkpoint",
        "module": small,
        "onnx": at / "model.onnx",
        "parts": at / "checkpoint",
        "out": at,
    }


_PARTS = " --tokenizer {parts}/tokenizer.json --labels {parts}/labels.json"
_COMMANDS = (
    "huggingface {folder}",
    "checkpoint {checkpoint}",
    "torchscript {module}" + _PARTS,
    "onnx {onnx}" + _PARTS,
    "onnx {folder} --file {onnx}",
)


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_length_without_room_for_a_text_is_refused_at_once(places: dict[str, Path], command: str) -> None:
    """The line names the option and the least value; 0 and less are no lengths."""
    options = [*command.format_map(places).split(), "-o", str(places["out"] / "out.onnx"), "--max-length"]
    for length in (1, 2):
        done = CliRunner().invoke(main, [*options, str(length)])
        assert done.output == f"Error: --max-length {length} has no room for a text beside 2 special tokens; the least is 3\n"
    for length in (0, -5):
        done = CliRunner().invoke(main, [*options, str(length)])
        assert done.exit_code == 2
        assert f"Invalid value for '--max-length': {length} is not in the range x>=1" in done.output


def test_the_least_length_is_taken(places: dict[str, Path], tmp_path: Path) -> None:
    """Its pairs are refused where they have no room."""
    done = export(places["folder"], tmp_path / "out.pt", "--max-length", "3")
    assert done.exit_code == 0, done.output
    assert (verdict(tmp_path / "out.pt")["longest"], verdict(tmp_path / "out.pt")["pairs"]) == (3, 0)
    says = "--max-length 4 has no room for a pair of texts beside 3 special tokens; the least is 5"
    assert says in export(places["folder"], tmp_path / "out.pt", "--max-length", "4").output
    done = export(places["folder"], tmp_path / "out.pt", "--max-length", "4", "--pairs", "required")
    assert done.output == f"Error: {says}\n"
    done = export(places["folder"], tmp_path / "out.pt", "--max-length", "5", "--pairs", "required")
    assert done.exit_code == 0, done.output
