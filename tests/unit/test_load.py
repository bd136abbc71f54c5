"""What the function asks its agent for, by the name of its model's file."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from function.load import default_model, describe
from vaccel_common.modelfile import PROGRAM_KINDS, ModelFileError
from vaccel_common.options import ConfigError


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


def test_the_default_model_may_be_an_exported_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the working directory's ``models``, where the checkout has none."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "small.pt2").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("function.load.__file__", str(tmp_path / "elsewhere" / "function" / "load.py"))
    assert default_model() == "models/small.pt2"


def test_beside_others_the_model_that_ships_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that was exported beside it changes no command that worked before; of several others one has to be named."""
    models = tmp_path / "models"
    models.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("function.load.__file__", str(tmp_path / "elsewhere" / "function" / "load.py"))
    for name in ("mine.pt", "yours.pt"):
        with zipfile.ZipFile(models / name, "w") as archive:
            archive.writestr("mine/extra/labels.json", "[]")
    with pytest.raises(
        ConfigError, match=r"^MODEL: models holds several models \(mine.pt, yours.pt\); set MODEL to one of them$"
    ):
        default_model()
    (models / "tweets.pt").touch()
    assert default_model() == "models/tweets.pt"


@pytest.mark.parametrize("has_tokenizer", [True, False])
@pytest.mark.parametrize("model", ["sha256:zz", "sha256:", "sha256:" + "a" * 63, "sha256:" + "A" * 64])
def test_a_digest_that_no_model_has_is_refused_at_the_start(tmp_path: Path, model: str, has_tokenizer: bool) -> None:
    """Every request would be a 502 else."""
    tokenizer = _tokenizer(tmp_path, "0" * 64) if has_tokenizer else None
    with pytest.raises(ModelFileError, match=f"^MODEL={model}: a digest is sha256: and 64 hexadecimal digits in lower case$"):
        describe(model, tokenizer)


def test_a_tokenizer_files_digest_is_held_to_the_same(tmp_path: Path) -> None:
    """It is named where it comes from."""
    with pytest.raises(ModelFileError, match=r"^TOKENIZER=.* names the model sha256:zz: a digest is"):
        describe("", _tokenizer(tmp_path, "zz"))


def test_a_directory_is_no_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether its name has a slash or not; with a tokenizer file the latter is a name in the agent's store."""
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    for model in ("models", "./models", str(tmp_path / "models")):
        with pytest.raises(ModelFileError, match=f"^MODEL={model}: it is a directory; name a model file in it$"):
            describe(model, None)
    assert describe("models", _tokenizer(tmp_path, "0" * 64)).source.path == "models"


def _tokenizer(folder: Path, digest: str) -> Path:
    file = folder / "small.tokenizer"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model.json", json.dumps({"name": "small", "sha256": digest}))
    return file
