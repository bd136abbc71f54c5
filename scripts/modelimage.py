"""``python -m scripts.modelimage FOLDER``: the models of a folder as an OCI image, for an agent's image volume.

The image has one layer for each model, with its file and its ``.sha256`` in the root, and nothing
else: no shell, no base. It is written as an OCI archive, which skopeo, podman, crane and ctr read,
without a container tool. The same files give the same digests. Layers carry the annotations by
which ModelPack names a model's files. Sources: opencontainers/image-spec; modelpack/model-spec,
annotations.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from vaccel_common.commandline import PathType, ToolCommand
from vaccel_common.digestfile import digest_beside, digest_line
from vaccel_common.modelfile import ModelFileError

_OCI = "application/vnd.oci.image"
#: A model runs on either: the image is the same for both.
ARCHITECTURES = ("amd64", "arm64")
SUFFIXES = (".pt", ".pt2", ".onnx")


class ModelImageError(Exception):
    """A folder that cannot become an image."""


@dataclass(frozen=True)
class ImageBlob:
    """A blob of the image, and what refers to it."""

    digest: str
    size: int

    def descriptor(self, media_type: str, annotations: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
        """An OCI descriptor."""
        noted = {"annotations": annotations} if annotations else {}
        return {"mediaType": media_type, "digest": self.digest, "size": self.size, **more, **noted}


class OciLayout:
    """An OCI image layout in a folder; blobs are files named by their sha256."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._blobs = folder / "blobs/sha256"
        self._blobs.mkdir(parents=True)
        (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))

    def add(self, chunks: Iterator[bytes]) -> ImageBlob:
        """Writes a blob."""
        digest, size = hashlib.sha256(), 0
        with tempfile.NamedTemporaryFile(dir=self._blobs, delete=False) as file:
            for chunk in chunks:
                digest.update(chunk)
                size += file.write(chunk)
        Path(file.name).rename(self._blobs / digest.hexdigest())
        return ImageBlob(f"sha256:{digest.hexdigest()}", size)

    def add_json(self, content: Any) -> ImageBlob:
        """Writes a blob of JSON."""
        return self.add(iter([json.dumps(content, sort_keys=True).encode()]))

    def archive(self, output: Path) -> None:
        """Writes the layout as a tar file."""
        with tarfile.open(output, "w") as archive:
            for path in sorted(self.folder.rglob("*")):
                if path.is_file():
                    info = _entry(str(path.relative_to(self.folder)), path.stat().st_size)
                    with path.open("rb") as file:
                        archive.addfile(info, file)


def models_in(folder: Path, suffixes: Sequence[str] = SUFFIXES) -> list[Path]:
    """The model files of a folder, by name. Raises `ModelImageError` where there is none."""
    models = sorted(path for path in folder.iterdir() if path.suffix in suffixes and path.is_file())
    if not models:
        raise ModelImageError(f"{folder} has no model ({', '.join('*' + suffix for suffix in suffixes)})")
    return models


def write_image(models: Sequence[Path], name: str, output: Path) -> str:
    """Writes an archive with the image ``name``, and returns the image's digest, ``sha256:HEX``.

    Raises `ModelImageError` where a model does not match the ``.sha256`` beside it, and
    `ModelFileError` where that has no digest.
    """
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        layout = OciLayout(Path(folder) / "layout")
        layers = [_layer(layout, model) for model in models]
        manifests = [_manifest(layout, layers, architecture) for architecture in ARCHITECTURES]
        index = {"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": manifests}
        image = layout.add_json(index)
        # The name by which skopeo and podman find the image, and that by which ctr does.
        named = {"org.opencontainers.image.ref.name": name, "io.containerd.image.name": name}
        top = {"schemaVersion": 2, "manifests": [image.descriptor(f"{_OCI}.index.v1+json", named)]}
        (layout.folder / "index.json").write_text(json.dumps(top, sort_keys=True))
        layout.archive(output)
    return image.digest


def _layer(layout: OciLayout, model: Path) -> dict[str, Any]:
    digest = _sha256(model)
    if digest_beside(model) not in (None, digest):
        raise ModelImageError(f"{model} does not match {model.name}.sha256: the file or its digest is damaged")
    blob = layout.add(_tar(model, digest_line(digest, model.name)))
    size = model.stat().st_size
    metadata = {
        "name": model.name,
        "mode": 0o444,
        "uid": 0,
        "gid": 0,
        "size": size,
        "mtime": "1970-01-01T00:00:00Z",
        "typeflag": 48,
    }
    annotations = {
        "org.cncf.model.filepath": model.name,
        "org.cncf.model.file.metadata+json": json.dumps(metadata, sort_keys=True),
        "org.opencontainers.image.title": model.name,
    }
    return blob.descriptor(f"{_OCI}.layer.v1.tar", annotations)


def _manifest(layout: OciLayout, layers: list[dict[str, Any]], architecture: str) -> dict[str, Any]:
    platform = {"architecture": architecture, "os": "linux"}
    # A layer is not compressed, so that its digest is its content's.
    config = {**platform, "config": {}, "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": layout.add_json(config).descriptor(f"{_OCI}.config.v1+json"),
        "layers": layers,
        "annotations": {"org.opencontainers.image.title": "models of vAccel agents"},
    }
    return layout.add_json(manifest).descriptor(f"{_OCI}.manifest.v1+json", platform=platform)


def _tar(model: Path, digest: bytes) -> Iterator[bytes]:
    """A tar file with a model and its digest; weights do not compress."""
    size = model.stat().st_size
    yield _entry(model.name, size).tobuf(tarfile.USTAR_FORMAT if size < 8 << 30 else tarfile.GNU_FORMAT)
    with model.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk
    yield bytes(-size % tarfile.BLOCKSIZE)
    rest = io.BytesIO()
    with tarfile.open(fileobj=rest, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(_entry(f"{model.name}.sha256", len(digest)), io.BytesIO(digest))
    yield rest.getvalue()


def _entry(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o444
    return info


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@click.command(cls=ToolCommand, context_settings={"show_default": True, "max_content_width": 120})
@click.argument("folder", type=PathType(exists=True, file_okay=False))
@click.option("--name", required=True, help="The image's name, such as registry.example.org/models/tweets:1.")
@click.option("-o", "--output", default="models.tar", type=PathType(dir_okay=False), help="The archive.")
@click.option("--suffix", "suffixes", multiple=True, default=SUFFIXES, help="Suffix of model files; again for several.")
def main(folder: Path, name: str, output: Path, suffixes: tuple[str, ...]) -> None:
    """Writes the models of FOLDER as an OCI image, for models.source=imageVolume of the agents' chart."""
    try:
        models = models_in(folder, suffixes)
        digest = write_image(models, name, output.absolute())
    except (ModelImageError, ModelFileError) as error:
        sys.exit(f"modelimage: {error}")
    except OSError as error:
        # A full disk's error names no file.
        sys.exit(f"modelimage: {error.filename or output}: {error.strerror}")
    for model in models:
        click.echo(f"{model.name}  {model.stat().st_size / 1e6:.1f} MB")
    click.echo(f"{name.rpartition(':')[0] if ':' in name.rpartition('/')[2] else name}@{digest}")


if __name__ == "__main__":
    main()
