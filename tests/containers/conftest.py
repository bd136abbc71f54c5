"""Images, and a bench to run them on."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.bench import AGENT, FUNCTION, HELLO, Bench, PodmanError, podman
from tests.support.optional import require


@pytest.fixture(scope="session")
def built() -> None:
    """podman and the images are here; else the tests are skipped, or fail where they are required (``make e2e-containers``)."""
    problem = None
    if not shutil.which("podman"):
        problem = "podman is missing; on Debian: apt-get install podman runc catatonit netavark aardvark-dns"
    elif missing := [image for image in (FUNCTION, AGENT, HELLO) if not _exists(image)]:
        problem = f"{', '.join(missing)}: no such image here; make e2e-containers builds them"
    require(problem is None, problem or "", variable="REQUIRE_CONTAINERS")


@pytest.fixture
def bench(built: None) -> Iterator[Bench]:  # noqa: ARG001
    """A bench that is closed after the test."""
    with contextlib.closing(Bench()) as bench:
        yield bench


@pytest.fixture(scope="module")
def shared(built: None) -> Iterator[Bench]:  # noqa: ARG001
    """A bench that is closed after the tests of the module."""
    with contextlib.closing(Bench()) as bench:
        yield bench


@pytest.fixture(scope="module")
def socket_volume(shared: Bench) -> str:
    """A volume with a warm agent's socket in it."""
    volume = shared.volume()
    agent = shared.run(AGENT, options=(f"-v={volume}:/var/run/vaccel",))
    agent.wait_for("vAccel RPC agent ready")
    return volume


@pytest.fixture
def tweets(tmp_path: Path) -> Path:
    """A folder with tweets.txt: 1,000 mild lines, that the containers' user can read."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "tweets.txt").write_text("".join(f"{LINES[n % len(LINES)]}, number {n}\n" for n in range(1000)))
    folder.chmod(0o755)
    # pytest's own folders are for the user that runs it alone.
    for above in list(folder.parents)[:3]:
        above.chmod(0o755)
    return folder


LINES = ("What a lovely day for a walk", "Tea and cake at four", "The match was on very late", "See you at the station tomorrow")


def _exists(image: str) -> bool:
    try:
        podman("image", "exists", image)
    except PodmanError:
        return False
    return True
