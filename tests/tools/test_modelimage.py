"""Models of a folder as an OCI image: what is in it, that it is whole, and that it is always the same."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from scripts.modelimage import ModelImageError, main, models_in, write_image

NAME = "registry.example.org/models/tweets:1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two models, one with its digest, and files that are not models."""
    models = tmp_path / "models"
    models.mkdir()
    (models / "a.pt").write_bytes(b"weights of a" * 1000)
    (models / "b.pt2").write_bytes(b"weights of b")
    (models / "b.pt2.sha256").write_text(f"{hashlib.sha256(b'weights of b').hexdigest()}  b.pt2\n")
    (models / "README.md").write_text("no model")
    return models


class Archive:
    """An OCI archive, read back; each blob is held to its digest and each descriptor to its blob."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as files:
            self.files = {member.name: self._read(files, member) for member in files if member.isfile()}
        for name, content in self.files.items():
            if name.startswith("blobs/"):
                assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"

    @staticmethod
    def _read(files: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
        file = files.extractfile(member)
        assert file is not None
        return file.read()

    def blob(self, descriptor: Any) -> bytes:
        content = self.files["blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")]
        assert len(content) == descriptor["size"]
        return content

    def json(self, descriptor: Any) -> Any:
        content = json.loads(self.blob(descriptor))
        assert content.get("mediaType", descriptor["mediaType"]) == descriptor["mediaType"]
        return content


def image(path: Path) -> tuple[Archive, list[Any]]:
    """The archive, and the manifests of the image in it."""
    archive = Archive(path)
    assert json.loads(archive.files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (top,) = json.loads(archive.files["index.json"])["manifests"]
    assert top["annotations"] == {"org.opencontainers.image.ref.name": NAME, "io.containerd.image.name": NAME}
    return archive, archive.json(top)["manifests"]


def test_each_model_is_a_layer(folder: Path, tmp_path: Path) -> None:
    """A model and its digest, in the image's root, readable by everybody; ModelPack's annotation names it."""
    write_image(models_in(folder), NAME, tmp_path / "out.tar")
    archive, manifests = image(tmp_path / "out.tar")
    assert [each["platform"]["architecture"] for each in manifests] == ["amd64", "arm64"]
    for each in manifests:
        manifest = archive.json(each)
        config = json.loads(archive.blob(manifest["config"]))
        assert config["architecture"] == each["platform"]["architecture"]
        assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
        assert [layer["annotations"]["org.cncf.model.filepath"] for layer in manifest["layers"]] == ["a.pt", "b.pt2"]
        for layer, name in zip(manifest["layers"], ("a.pt", "b.pt2"), strict=True):
            assert json.loads(layer["annotations"]["org.cncf.model.file.metadata+json"])["size"] == (folder / name).stat().st_size
            with tarfile.open(fileobj=io.BytesIO(archive.blob(layer))) as files:
                assert {member.name: (member.mode, member.uid, member.mtime) for member in files} == {
                    name: (0o444, 0, 0), f"{name}.sha256": (0o444, 0, 0),
                }  # fmt: skip
                files.extractall(tmp_path / "store", filter="data")
    for name in ("a.pt", "b.pt2"):
        content = (folder / name).read_bytes()
        assert (tmp_path / "store" / name).read_bytes() == content
        assert (tmp_path / f"store/{name}.sha256").read_text() == f"{hashlib.sha256(content).hexdigest()}  {name}\n"


def test_the_same_models_are_the_same_image(folder: Path, tmp_path: Path) -> None:
    """Times and owners of files have no part in it; a new model leaves the layers of the others as they were."""
    first = write_image(models_in(folder), NAME, tmp_path / "1.tar")
    (folder / "a.pt").touch(mode=0o600)
    assert write_image(models_in(folder), NAME, tmp_path / "2.tar") == first
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()
    (folder / "c.pt").write_bytes(b"weights of c")
    assert write_image(models_in(folder), NAME, tmp_path / "3.tar") != first
    layers = []
    for name in ("1.tar", "3.tar"):
        archive, manifests = image(tmp_path / name)
        layers.append({layer["digest"] for layer in archive.json(manifests[0])["layers"]})
    assert layers[0] < layers[1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: (folder / "b.pt2").write_bytes(b"other"), "b.pt2 does not match b.pt2.sha256"),
        (lambda folder: (folder / "b.pt2.sha256").write_text("none"), "b.pt2.sha256 has no sha256"),
        (lambda folder: [path.unlink() for path in folder.glob("*.pt*")], "has no model (*.pt, *.pt2, *.onnx)"),
    ],
)
def test_what_is_no_store_is_refused(folder: Path, tmp_path: Path, change: Any, says: str) -> None:
    """A damaged model, a damaged digest, a folder without models; no archive is left."""
    change(folder)
    done = CliRunner().invoke(main, [str(folder), "--name", NAME, "-o", str(tmp_path / "out.tar")])
    assert done.exit_code != 0
    assert says in str(done.exception)
    assert list(tmp_path.iterdir()) == [folder]


def test_the_command_prints_the_reference_to_install(folder: Path, tmp_path: Path) -> None:
    """With the digest, as a value of the chart; the tag is left out, the registry's port is not."""
    done = CliRunner().invoke(main, [str(folder), "--name", "localhost:5000/tweets:1", "-o", str(tmp_path / "out.tar")])
    assert done.exit_code == 0, done.output
    assert re.fullmatch(r"localhost:5000/tweets@sha256:[0-9a-f]{64}", done.output.splitlines()[-1])
    assert "a.pt " in done.output


def test_a_folder_without_models_has_no_image(tmp_path: Path) -> None:
    """The error names what was looked for; another suffix can be given for a plugin's engine."""
    (tmp_path / "m.toy").write_bytes(b"toy")
    with pytest.raises(ModelImageError, match=re.escape("*.pt, *.pt2")):
        models_in(tmp_path)
    assert [path.name for path in models_in(tmp_path, (".toy",))] == ["m.toy"]
