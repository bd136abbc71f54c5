"""buildah and docker behind one interface, for the scripts that build images."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

#: The environment that an image of a bare Debian needs to find its programs.
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PULL_S = 300
#: Lines of a failed command's output that are shown.
_TAIL = 30


class BuilderError(Exception):
    """No image can be built; the message is one line that names what is missing or what failed."""


class Buildah:
    """buildah, which needs no daemon; it keeps the layers of earlier builds."""

    name = "buildah"

    def __init__(self) -> None:
        # Only our own Dockerfile runs. chroot works in a container, where runc lacks permissions.
        os.environ.setdefault("BUILDAH_ISOLATION", "chroot")

    def build(self, context: Path, file: Path, tag: str, arguments: Mapping[str, str], target: str | None = None) -> None:
        """Builds the target (default: the last) of ``file`` as ``tag``. Raises `BuilderError`."""
        build = ("buildah", "build", "--layers", "--force-rm", "--pull-never")
        run(*build, *_options(arguments, target), "-f", str(file), "-t", tag, str(context))

    def has(self, image: str) -> bool:
        """Whether the image is in this machine's store."""
        return _works("buildah", "inspect", "--type", "image", image)

    def pull(self, image: str) -> bool:
        """Pulls the image from its registry; whether that worked."""
        return _works("buildah", "pull", "-q", image)

    def import_root(self, folder: Path, tag: str) -> None:
        """Makes an image from the root file system in ``folder``. Raises `BuilderError`."""
        container = run("buildah", "from", "scratch")
        try:
            run("buildah", "add", "-q", container, str(folder), "/")
            run("buildah", "config", "--env", PATH, "--cmd", "python3", container)
            run("buildah", "commit", "-q", container, tag)
        finally:
            run("buildah", "rm", container)

    @contextlib.contextmanager
    def files(self, image: str) -> Iterator[Path]:
        """The image's root file system, mounted for reading. Raises `BuilderError`."""
        container = run("buildah", "from", "--pull-never", image)
        try:
            yield Path(run("buildah", "mount", container))
        finally:
            run("buildah", "rm", container)


class Docker:
    """Docker with BuildKit, the default builder since Docker 23."""

    name = "docker"

    def build(self, context: Path, file: Path, tag: str, arguments: Mapping[str, str], target: str | None = None) -> None:
        """Builds the target (default: the last) of ``file`` as ``tag``. Raises `BuilderError`."""
        run("docker", "build", *_options(arguments, target), "-f", str(file), "-t", tag, str(context))

    def has(self, image: str) -> bool:
        """Whether the image is in this machine's store."""
        return _works("docker", "image", "inspect", image)

    def pull(self, image: str) -> bool:
        """Pulls the image from its registry; whether that worked."""
        return _works("docker", "pull", "-q", image)

    def import_root(self, folder: Path, tag: str) -> None:
        """Makes an image from the root file system in ``folder``. Raises `BuilderError`."""
        with tempfile.NamedTemporaryFile(suffix=".tar") as tar:
            run("tar", "-C", str(folder), "--numeric-owner", "-cf", tar.name, ".")
            run("docker", "import", "-c", f"ENV {PATH}", "-c", 'CMD ["python3"]', tar.name, tag)

    @contextlib.contextmanager
    def files(self, image: str) -> Iterator[Path]:
        """A copy of the image's root file system. Raises `BuilderError`."""
        container = run("docker", "create", image, "none")
        try:
            with tempfile.TemporaryDirectory() as folder:
                run("docker", "export", "-o", f"{folder}/root.tar", container)
                root = Path(folder, "root")
                root.mkdir()
                run("tar", "-C", str(root), "--no-same-owner", "-xf", f"{folder}/root.tar", "--exclude=dev/*")
                yield root
        finally:
            run("docker", "rm", container)


Builder = Buildah | Docker


def choose(name: str | None = None) -> Builder:
    """The builder of that name, or the one that is installed. Raises `BuilderError`."""
    if name in (None, "buildah") and shutil.which("buildah"):
        return Buildah()
    # The client alone cannot build: the engine has to respond.
    if name in (None, "docker") and shutil.which("docker") and _works("docker", "info"):
        return Docker()
    problem = f"{name} cannot be used here" if name else "neither buildah nor a running docker was found"
    raise BuilderError(f"{problem}; on Debian: apt-get install buildah")


def run(*command: str) -> str:
    """Runs the command; its standard output, stripped.

    Standard error is passed through. If the command fails, the last lines of its output are shown
    as well. Raises `BuilderError`.
    """
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print("\n".join(done.stdout.splitlines()[-_TAIL:]), file=sys.stderr)
        raise BuilderError(f"{' '.join(command[:2])} failed with exit code {done.returncode}; its messages are above")
    return done.stdout.strip()


def _works(*command: str) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        return subprocess.run(command, capture_output=True, check=False, timeout=_PULL_S).returncode == 0
    return False


def _options(arguments: Mapping[str, str], target: str | None) -> list[str]:
    build_args = [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]
    return [*build_args, "--target", target] if target else build_args
