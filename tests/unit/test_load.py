"""What the function asks its agent for, by the name of its model's file."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from function.load import describe, only_model
from vaccel_common.modelfile import PROGRAM_KINDS


@pytest.mark.parametrize("name", ["small.pt", "small.pt2"])
def test_a_file_is_asked_for_by_the_name_that_means_it(tmp_path: Path, name: str) -> None:
    """Of several files of one name that with its suffix, which no alias has precedence over."""
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    assert describe(str(tmp_path / name), None).source.path == name


@pytest.mark.parametrize("kind", [None, "torchscript", "export", "onnx", "another"])
def test_a_tokenizer_file_says_what_the_models_file_holds(tmp_path: Path, kind: str | None) -> None:
    """TorchScript, where it says nothing that is known."""
    file = tmp_path / "small.tokenizer"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model.json", json.dumps({"name": "small", "sha256": "0" * 64} | ({"kind": kind} if kind else {})))
    for model in ("", "sha256:" + "1" * 64, "live"):
        assert describe(model, file).kind == (kind if kind in PROGRAM_KINDS else "torchscript")


def test_the_only_model_may_be_an_exported_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the working directory's ``models``, where the checkout has none."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "small.pt2").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("function.load.__file__", str(tmp_path / "elsewhere" / "function" / "load.py"))
    assert only_model() == "models/small.pt2"
