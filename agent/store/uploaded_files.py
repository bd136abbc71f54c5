"""Which models clients may send, and the check that their files pass before the agent keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

from agent.config import Uploads
from agent.store.catalog import Referred, extras_of
from agent.store.several import check_references
from agent.store.threads import in_thread
from agent.store.uploads_folder import Files, UploadsFolder
from vaccel_common.modelfile import VariantOf
from vaccel_rpc.errors import PermissionDenied

#: Raises where a client's file, with those of the names beside it, may not be loaded.
CheckUpload = Callable[[Path, Sequence[str]], None]


class UploadedFiles:
    """The files that clients sent, in a private folder. ``check``: see `CheckUpload`; ``threads`` call it."""

    def __init__(self, policy: Uploads, check: CheckUpload, referred: Referred, threads: Executor) -> None:
        self._policy, self._check, self._referred, self._threads = policy, check, referred, threads
        self._folder = UploadsFolder()
        self.path, self.remove = self._folder.path, self._folder.remove

    def check_bytes(self) -> None:
        """Raises `PermissionDenied` where the policy accepts no bytes at all."""
        if self._policy == "deny":
            raise PermissionDenied(
                "model bytes are not accepted here (--uploads deny); register a model of the store by its path"
            )

    def check_unknown(self, digest: str, files: Files) -> None:
        """Raises `PermissionDenied` where the policy forbids a model that is not in the store."""
        if self._policy == "known":
            raise PermissionDenied(f"sha256:{digest} is not a model of the store; no other bytes are accepted (--uploads known)")
        if self._policy == "data" and len(files) > 1:
            raise PermissionDenied("a model of several files is not accepted here (--uploads data); send one ONNX file")

    async def keep(self, digest: str, files: Files) -> tuple[Path, VariantOf | None]:
        """Writes a model of that content; the path of its own file, and whose variant it is.

        ``files``: name and bytes of each, its own first. Raises what the check raises.
        """
        (name, _), others = files[0], [name for name, _ in files[1:]]

        def check(path: Path) -> None:
            if others:
                check_references(name, others, self._referred(path))
            self._check(path, others)

        path = await self._folder.write(digest, files, check, self._threads)
        return path, await in_thread(self._threads, lambda: extras_of(path).variant)

    def close(self) -> None:
        """Removes the folder."""
        self._folder.close()
