"""``make images``: the images for this machine's architecture, each with a bill of materials."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from scripts import baseimage, sbom, wheels
from scripts.builders import Builder, BuilderError, choose
from vaccel_common.commandline import ToolCommand
from vaccel_rpc import __version__

ROOT = Path(__file__).parent.parent
DOCKERFILE = ROOT / "docker/Dockerfile"
#: Knative does not look up the digest of such an image in a registry.
PREFIX = "dev.local"
VERSION = __version__
PUBLIC_BASE = next(line.removeprefix("ARG BASE=") for line in DOCKERFILE.read_text().splitlines() if line.startswith("ARG BASE="))
SBOMS = ROOT / "build/sbom"
NAMES = ("vaccel-function", "vaccel-agent", "vaccel-hello", "vaccel-loadtest")
_MB = 1e6


@dataclass(frozen=True)
class BuiltImage:
    """An image and the size of its files in bytes: beyond those of the base, and of its models."""

    image: str
    over_base: int
    model: int
    packages: int


@click.command(cls=ToolCommand, context_settings={"show_default": True, "max_content_width": 120})
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@click.option("--builder", type=click.Choice(["buildah", "docker"]), show_default="the one that is installed")
@click.option(
    "--base", envvar="BASE", show_default=f"{baseimage.NAME} if it is there, else {PUBLIC_BASE}", help="The image to build on."
)
@click.option("--prefix", envvar="IMAGE_PREFIX", default=PREFIX, help="Registry and path before the images' names.")
@click.option("--tag", envvar="TAG", default=VERSION, help="Tag of the images.")
@click.option("--extras", envvar="EXTRAS", default="grpc,otel", help="Extras of pyproject.toml for the function's image.")
@click.option("--torch-index", envvar="TORCH_INDEX", default=wheels.TORCH_INDEX, help="The index of torch's wheels.")
def main(
    names: tuple[str, ...], builder: str | None, base: str | None, prefix: str, tag: str, extras: str, torch_index: str
) -> None:
    """Builds the images NAMES, by default those of function and agent."""
    try:
        built = make(
            choose(builder), names or NAMES[:2], base=base, prefix=prefix, tag=tag, extras=extras, torch_index=torch_index
        )
    except BuilderError as error:
        sys.exit(f"make images: {error}")
    click.echo("\n".join(_table(built)))


def make(
    builder: Builder,
    names: tuple[str, ...] = NAMES[:2],
    *,
    base: str | None = None,
    prefix: str = PREFIX,
    tag: str = VERSION,
    extras: str = "grpc,otel",
    torch_index: str = wheels.TORCH_INDEX,
) -> list[BuiltImage]:
    """Builds the images and writes their bills of materials. Raises `BuilderError`.

    ``base`` is the image to build on; see `_base` for its default. ``extras`` are those of the
    function, separated by commas.
    """
    base = _base(builder, base)
    click.echo(f"Building on {base} with {builder.name}")
    wheels.download_build()
    #: Folder of docker/wheels, and the extras or groups whose packages it has to contain.
    packages = {
        "vaccel-function": ("function", extras),
        "vaccel-agent": ("agent", "agent,onnx,otel"),
        "vaccel-hello": ("function", extras),
        "vaccel-loadtest": ("loadtest", "loadtest"),
    }
    revision, created = _git("rev-parse", "HEAD") or "unknown", _created()
    labels = {"VERSION": VERSION, "REVISION": revision, "CREATED": created}
    arguments = {
        "vaccel-function": {**labels, "EXTRAS": extras},
        "vaccel-agent": {**labels, "TORCH_INDEX": torch_index},
        "vaccel-hello": {},
        "vaccel-loadtest": labels,
    }
    built = []
    for name in names:
        wheels.download(*packages[name], torch_index)
        image = f"{prefix}/{name}:{tag}"
        click.echo(f"Building {image}")
        target = name.removeprefix("vaccel-")
        builder.build(ROOT, DOCKERFILE, image, {"BASE": base, **arguments[name]}, target)
        built.append(_inspect(builder, base, name, image, tag))
    return built


def _base(builder: Builder, base: str | None) -> str:
    """``base``, or else the image of `scripts.baseimage` if it is there, or else the public image.

    Where the public image cannot be pulled, `scripts.baseimage` builds its replacement.
    """
    if base or not builder.has(baseimage.NAME):
        pulled = base or PUBLIC_BASE
        if builder.has(pulled) or builder.pull(pulled):
            return pulled
        if base:
            raise BuilderError(f"--base {base}: no such image here, and it cannot be pulled")
        click.echo(f"{pulled} cannot be pulled")
        baseimage.make(builder)
    return baseimage.NAME


def _inspect(builder: Builder, base: str, name: str, image: str, tag: str) -> BuiltImage:
    with builder.files(base) as files:
        base_size = _size(files)
    with builder.files(image) as files:
        size, model = _size(files), _size(files / "models")
        packages = sbom.write(files, image.rpartition(":")[0], tag, SBOMS / f"{name}.cdx.json")
    return BuiltImage(image, size - base_size, model, packages)


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in _files(folder))


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def _table(built: list[BuiltImage]) -> Iterator[str]:
    width = max(len(image.image) for image in built)
    yield f"{'image':<{width}}  {'MB over base':>12}  {'of these, model':>15}  SBOM"
    for image in built:
        name = image.image.rpartition("/")[2].partition(":")[0]
        bill = f"{SBOMS.relative_to(ROOT)}/{name}.cdx.json, {image.packages} packages"
        yield f"{image.image:<{width}}  {image.over_base / _MB:>12.1f}  {image.model / _MB:>15.1f}  {bill}"


def _created() -> str:
    """The creation time, RFC 3339: SOURCE_DATE_EPOCH, else the commit's time, else the epoch."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct") or 0)
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _git(*command: str) -> str:
    done = subprocess.run(["git", *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
