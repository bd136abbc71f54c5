"""Which file of the store has which content.

What the file beside a file says is only where to look first: its content counts. The methods are
for the event loop.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from agent.store.catalog import Catalog, mismatch, stated_digest
from agent.store.folder import StoreFolder
from agent.store.hashing import Hashes
from agent.store.several import content_digest
from agent.store.threads import in_thread
from vaccel_rpc.errors import NotFound, RpcError

_log = logging.getLogger("agent.store")


@dataclass(frozen=True)
class _Part:
    """One of a model's files. ``name``: by which the model refers to it, empty for its own file.

    ``stated``: the sha256 beside it, if there is one. ``known``: that of its content, if it has been
    computed. ``size``: bytes.
    """

    name: str
    path: Path
    stated: str | None
    known: str | None
    size: int


class Contents:
    """The sha256 of the models in a folder. ``files``: threads that look at files without hashing them."""

    def __init__(self, folder: StoreFolder, catalog: Catalog, hashes: Hashes, files: Executor) -> None:
        self._folder, self._catalog, self._hashes, self._files = folder, catalog, hashes, files
        self._left_out: set[Path] = set()

    async def digest(self, path: Path) -> str:
        """The sha256 of a model's content.

        Raises `NotFound` where it cannot be read, `FailedPrecondition` where a file beside one of
        its files says otherwise, and what `Catalog.others` raises.
        """
        parts = await in_thread(self._files, self._parts, path)
        return _digest_of(parts, [await self._certain(part) for part in parts])

    async def find(self, digest: str, size: int | None = None) -> Path | None:
        """A model with that content. One that has none hides no other, and is logged once.

        ``size``: the bytes of its own file, where these are known.
        """
        for path in await in_thread(self._files, self._candidates, digest, size):
            try:
                if await self.digest(path) == digest:
                    return path
            except RpcError as error:
                self._leave_out(path, error)
        return None

    async def originals(self) -> list[str]:
        """The names of the files that are not variants of another file of the store."""
        files = await in_thread(self._files, self._catalog.files)
        of = {variant.of for _, variant in files if variant}
        present = {digest for digest in of if await self.find(digest)}
        return [path.name for path, variant in files if not variant or variant.of not in present]

    async def _certain(self, part: _Part) -> str:
        digest = part.known or await self._hashes.of_file(part.path)
        if part.stated not in (None, digest):
            raise mismatch(part.path)
        return digest

    def _candidates(self, digest: str, size: int | None) -> list[Path]:
        """The models that may have that content: first those of which it is known or stated, then the smallest."""
        found: list[tuple[bool, int, Path]] = []
        for path in self._folder.files():
            try:
                parts = self._parts(path)
            except RpcError as error:
                self._leave_out(path, error)
                continue
            digests = [each for part in parts if (each := part.known or part.stated)]
            unstated = len(digests) < len(parts)
            if (size not in (None, parts[0].size)) if unstated else (_digest_of(parts, digests) != digest):
                continue
            found.append((unstated, sum(part.size for part in parts if not part.known), path))
        return [path for *_, path in sorted(found)]

    def _parts(self, path: Path) -> list[_Part]:
        """The model's files, its own first. Raises `RpcError`."""
        try:
            return [
                _Part(name, file, stated_digest(file), self._hashes.known(file), file.stat().st_size)
                for name, file in (("", path), *((name, path.parent / name) for name in self._catalog.others(path)))
            ]
        except OSError as error:
            raise NotFound(f"{path.name} cannot be read: {error.strerror}") from None

    def _leave_out(self, path: Path, error: RpcError) -> None:
        if path not in self._left_out:
            self._left_out = {known for known in self._left_out if known.exists()} | {path}
            _log.warning("The store's file %s is left out: %s", path.name, error.message)


def _digest_of(parts: Sequence[_Part], digests: Sequence[str]) -> str:
    """The sha256 of a model whose files have these."""
    own, *others = digests
    return content_digest(own, {part.name: digest for part, digest in zip(parts[1:], others, strict=True)})
