"""Files that a library cannot read, with a reason that the user can act on."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import click
import onnx
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from export import onnxrun
from export.commands import main
from export.foreign import PlainSession
from export.refusal import Refused, one_line
from export.variants import main as variants
from tests.support.families import make
from tests.support.onnxmodels import foreign
from tests.tools.test_export import tokenizer
from vaccel_rpc.errors import InvalidArgument

_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier as its author publishes it."""
    return make(tmp_path_factory.mktemp("unreadable") / "hf", "distilbert", n_layers=1)


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of `original`."""
    return shutil.copytree(original, tmp_path / "hf")


class _RunsCode:
    """Unpickled, it would make a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path, ...]]:
        return Path.touch, (self.marker,)


def test_weights_that_could_run_code_are_not_loaded(folder: Path, tmp_path: Path) -> None:
    """The file is named, and nobody is advised to load it nevertheless."""
    marker = tmp_path / "ran"
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({"x": torch.ones(2)}, folder / "another.bin")
    spoilt: dict[str, object] = {**weights, "x": _RunsCode(marker)}
    path = folder / "pytorch_model.bin"
    says = "Error: {} is not loaded, since it holds more than weights and could run code: a file of weights alone is needed\n"
    for old in (False, True):
        torch.save(spoilt, path, _use_new_zipfile_serialization=not old)
        done = CliRunner().invoke(main, ["huggingface", str(folder), "-o", str(tmp_path / "out.pt")])
        assert done.output == says.format(path)
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "state.pt").write_bytes(pickle.dumps(_RunsCode(marker)))
    (checkpoint / "labels.json").write_text("[]")
    (checkpoint / "config.json").write_text("{}")
    done = CliRunner().invoke(main, ["checkpoint", str(checkpoint), "-o", str(tmp_path / "out.pt")])
    assert done.output == says.format(checkpoint / "state.pt")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("program", "command", "name"),
    [
        (main, "huggingface {folder}", "model.safetensors"),
        (main, "huggingface {folder}", "tokenizer.json"),
        (main, "huggingface {folder}", "config.json"),
        (main, "torchscript {folder}/bare.pt --tokenizer {tokenizer} --labels {labels}", "bare.pt"),
        (main, "torchscript {folder}/bare.pt --tokenizer {folder}/tokenizer.json --labels {labels}", "tokenizer.json"),
        (main, "onnx {folder}/model.onnx --tokenizer {tokenizer} --labels {labels}", "model.onnx"),
        (main, "onnx {folder}/model.onnx --tokenizer {tokenizer} --labels {labels}", "weights.data"),
        (main, "tokenizer {folder}/bare.pt", "bare.pt"),
        (main, "pt2 {folder}/bare.pt", "bare.pt"),
        (main, "checkpoint {folder}", "state.pt"),
        (variants, "int8 {folder}/bare.pt --form onnx", "bare.pt"),
        (variants, "bf16 {folder}/bare.pt", "bare.pt"),
    ],
)
def test_a_pointer_of_git_lfs_is_named(folder: Path, tmp_path: Path, program: click.Group, command: str, name: str) -> None:
    """With the command that fetches the file."""
    (tmp_path / "labels.json").write_text('["a", "b", "c"]')
    (folder / "labels.json").write_text('["a", "b", "c"]')
    tokenizer().save(str(tmp_path / "tokenizer.json"))
    torch.jit.script(torch.nn.Identity()).save(str(folder / "bare.pt"))
    onnx.save(foreign(), folder / "model.onnx", save_as_external_data=True, location="weights.data", size_threshold=0)
    (folder / name).write_bytes(_POINTER)
    places = {"folder": folder, "tokenizer": tmp_path / "tokenizer.json", "labels": tmp_path / "labels.json"}
    done = CliRunner().invoke(program, [*command.format_map(places).split(), "-o", str(tmp_path / "out.onnx")])
    assert done.output == f"Error: {folder / name} is a Git LFS pointer: 'git lfs pull' in its folder fetches the file itself\n"


def test_a_pointer_is_not_taken_for_a_vocabulary(tmp_path: Path) -> None:
    """Its lines would be words."""
    folder = make(tmp_path / "hf", "bert", num_hidden_layers=1)
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_bytes(_POINTER)
    done = CliRunner().invoke(main, ["huggingface", str(folder), "-o", str(tmp_path / "out.pt")])
    assert f"{folder / 'vocab.txt'} is a Git LFS pointer" in done.output


def _newer_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 99


def _newer_format(model: onnx.ModelProto) -> None:
    model.ir_version = 99


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (_newer_opset, "Current official support for domain ai.onnx is till opset "),
        (_newer_format, ": 99, max supported IR version: "),
    ],
)
def test_the_reason_of_onnxruntime_is_told(edit: Callable[[onnx.ModelProto], None], says: str) -> None:
    """And not the place in its sources, which comes first."""
    model = foreign()
    edit(model)
    for load in (lambda: PlainSession(model, None), lambda: onnxrun.session(model)):
        with pytest.raises(Refused) as refused:
            load()
        assert says in refused.value.message
        assert ".cc" not in refused.value.message


def test_our_own_reasons_are_not_cut() -> None:
    """Those of libraries are, at 200 characters."""
    long = "a " * 300 + "end"
    assert one_line(Refused(long)) == one_line(InvalidArgument(long)) == long
    assert len(one_line(ValueError(long))) == 200
