"""``make base-image``: Debian 12 with Python 3.11, for a machine without access to a registry.

debootstrap takes the packages from the mirror that apt uses on this machine. The image is for
building and testing here; build what you deploy on the public image, which gets security updates.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from scripts.builders import Builder, BuilderError, choose, run
from vaccel_common.commandline import ToolCommand

NAME = "localhost/python:3.11-slim"
_PACKAGES = "ca-certificates,python3,python3-venv"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@click.command(cls=ToolCommand)
@click.option("--builder", type=click.Choice(["buildah", "docker"]), help="Default: the one that is installed.")
@click.option("--name", default=NAME, show_default=True)
def main(builder: str | None, name: str) -> None:
    """Builds the base image with debootstrap."""
    try:
        make(choose(builder), name)
    except BuilderError as error:
        sys.exit(f"make base-image: {error}")


def make(builder: Builder, name: str = NAME) -> None:
    """Builds the image and names it ``name``. Raises `BuilderError`."""
    if not shutil.which("debootstrap"):
        raise BuilderError("debootstrap is missing; on Debian: apt-get install debootstrap")
    if os.geteuid() != 0:
        raise BuilderError("debootstrap needs root")
    mirror = _mirror()
    keyring = [f"--keyring={_KEYRING}"] if _KEYRING.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "root")
        click.echo("Building a Debian 12 with Python 3.11 by debootstrap; this takes about a minute")
        log = Path(folder, "log")
        command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", *keyring, "bookworm", str(root), mirror]
        with log.open("wb") as out:
            done = subprocess.run(command, stdout=out, stderr=out, check=False)
        if done.returncode:
            raise BuilderError(f"debootstrap failed: {log.read_text(errors='replace').strip().splitlines()[-1]}")
        _slim(root)
        builder.import_root(root, name)
    click.echo(name)


def _mirror() -> str:
    """The URL from which this machine's apt gets Debian 12. Raises `BuilderError`."""
    if not shutil.which("apt-get"):
        raise BuilderError("apt-get is missing; a base image can only be built on Debian")
    filters = ("Created-By: Packages", "Release: bookworm", "Component: main")
    urls = run("apt-get", "indextargets", "--format", "$(REPO_URI)", *filters).splitlines()
    if not urls:
        raise BuilderError("apt's sources do not include Debian 12 (bookworm, main), which the base image is built from")
    return urls[0]


def _slim(root: Path) -> None:
    """Removes files that no container reads: caches, manuals, translations. Licences stay."""
    for pattern in (
        "var/cache/apt/*",
        "var/lib/apt/lists/*",
        "var/log/*",
        "usr/share/man/*",
        "usr/share/info/*",
        "usr/share/locale/*",
    ):
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for path in root.glob("usr/share/doc/*/*"):
        if path.name != "copyright" and not path.is_symlink():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


if __name__ == "__main__":
    main()
