"""Files are hashed in turns: for all who ask at once, and no longer than anybody waits."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from agent.store.hashing import Hashes
from vaccel_rpc.errors import FailedPrecondition, NotFound

#: A sparse file of so many bytes takes minutes to hash.
HUGE = 1 << 40


def huge(path: Path) -> Path:
    """A file that nobody hashes to its end."""
    with path.open("wb") as file:
        file.truncate(HUGE)
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptor of each read."""
    reads, readv = [], os.readv

    def counted(fd: int, buffers: list[memoryview]) -> int:
        reads.append(fd)
        return readv(fd, buffers)

    monkeypatch.setattr("agent.store.hashing.os.readv", counted)
    return reads


def run(work: Coroutine[Any, Any, None], hashes: Hashes) -> None:
    """Runs the work and closes the hashes, which takes no longer than a turn."""
    try:
        asyncio.run(work)
    finally:
        began = time.monotonic()
        hashes.close(wait=True)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (3 << 20) + 5])
def test_the_digest_is_the_contents(tmp_path: Path, size: int) -> None:
    """Of a file and of bytes, of any size."""
    data, hashes = os.urandom(size), Hashes()
    (tmp_path / "file").write_bytes(data)

    async def main() -> None:
        expected = hashlib.sha256(data).hexdigest()
        assert await hashes.of_file(tmp_path / "file") == expected
        assert await hashes.of_bytes(memoryview(data)) == expected

    run(main(), hashes)


def test_a_small_file_does_not_wait_for_large_ones(tmp_path: Path) -> None:
    """There are more large ones than threads."""
    hashes = Hashes()
    (tmp_path / "small").write_bytes(b"small")

    async def main() -> None:
        large = [asyncio.ensure_future(hashes.of_file(huge(tmp_path / f"huge{i}"))) for i in range(4)]
        for _ in range(3):
            assert await asyncio.wait_for(hashes.of_file(tmp_path / "small"), 10) == hashlib.sha256(b"small").hexdigest()
        assert not any(hashing.done() for hashing in large)
        for hashing in large:
            hashing.cancel()
        await asyncio.wait(large)

    run(main(), hashes)


def test_what_nobody_waits_for_pauses_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[int]
) -> None:
    """One of two who leaves ends nothing for the other; a client that asks again and again gets the digest in the end."""
    monkeypatch.setattr("agent.store.hashing._TURN_S", 0.0)
    hashes, data = Hashes(), os.urandom(20 << 20)
    (tmp_path / "file").write_bytes(data)

    async def asked() -> str | None:
        before = len(reads)
        asking = [asyncio.ensure_future(hashes.of_file(tmp_path / "file")) for _ in range(2)]
        while len(reads) < before + 2 and not asking[1].done():
            await asyncio.sleep(0)
        asking[0].cancel()
        while len(reads) < before + 4 and not asking[1].done():
            await asyncio.sleep(0)
        if not asking[1].done():
            asking[1].cancel()
        await asyncio.wait(asking)
        return None if asking[1].cancelled() else asking[1].result()

    async def main() -> None:
        digest = None
        for _ in range(20):
            digest = digest or await asked()
        assert digest == hashlib.sha256(data).hexdigest()
        assert len(reads) == 21
        assert not hashes._running

    run(main(), hashes)


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Except while a change could not be told, as a moment after it was written."""
    monkeypatch.setattr("agent.store.pinned._SETTLED", 0.0)
    hashes, path = Hashes(), tmp_path / "file"
    path.write_bytes(b"1")

    async def main() -> None:
        first = await hashes.of_file(path)
        assert hashes.known(path) == first
        path.write_bytes(b"22")
        assert hashes.known(path) is None
        monkeypatch.setattr("agent.store.pinned._SETTLED", 60.0)
        assert await hashes.of_file(path) == hashlib.sha256(b"22").hexdigest()
        assert hashes.known(path) is None

    run(main(), hashes)


def test_a_file_that_is_written_while_it_is_read_has_no_digest(tmp_path: Path, reads: list[int]) -> None:
    """Nor has one that is gone, or is not a file."""
    hashes, path = Hashes(), huge(tmp_path / "file")

    async def main() -> None:
        hashing = asyncio.ensure_future(hashes.of_file(path))
        while not reads:
            await asyncio.sleep(0.001)
        with path.open("r+b") as file:
            file.truncate(5)
        with pytest.raises(FailedPrecondition, match="file was written while it was read; try again once it is complete"):
            await hashing
        assert await hashes.of_file(path) == hashlib.sha256(bytes(5)).hexdigest()
        with pytest.raises(NotFound, match="gone cannot be read"):
            await hashes.of_file(tmp_path / "gone")
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(FailedPrecondition, match="fifo is not a regular file"):
            await hashes.of_file(tmp_path / "fifo")

    run(main(), hashes)
