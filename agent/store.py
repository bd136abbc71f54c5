"""Model files by name and sha256. The same content is one model, whoever brings it: loaded once, shared, evicted when unused."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote

from agent.config import Uploads
from vaccel_rpc.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, ResourceExhausted
from vaccel_rpc.modelfile import ModelFileError, Signature, digest_beside, program_kind

_log = logging.getLogger("agent.store")

_SUFFIXES = (".pt", ".pt2")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")

R = TypeVar("R")


class Program(Protocol):
    """A model in memory, as a plugin loads it. ``joinable``: whether requests may be joined and padded."""

    signature: Signature | None
    joinable: bool


@dataclass(eq=False)
class Model:
    """One content. ``path``: its file, None once an upload's file is gone; ``references``: resources that hold it."""

    digest: str
    name: str
    path: Path | None
    uploaded: bool
    size: int = 0
    references: int = 0
    pinned: bool = False
    used: float = 0.0
    program: asyncio.Task[Program] | None = None

    @property
    def loaded(self) -> bool:
        """Whether its program is in memory, or about to be."""
        return self.program is not None

    @property
    def warm(self) -> bool:
        """Whether its program is in memory."""
        return self.program is not None and self.program.done() and not self.program.cancelled() and not self.program.exception()

    @property
    def label(self) -> str:
        """Its name in metrics: bounded, so all uploads share one."""
        return "upload" if self.uploaded else self.name

    def __str__(self) -> str:
        return f"{self.name} (sha256:{self.digest[:12]})"


class Store:
    """The models of a directory, and those that clients send.

    ``load`` reads a file into a program; it runs in a thread. ``loaded`` is told of each model that was.
    """

    def __init__(
        self,
        folder: Path | None,
        policy: Uploads,
        load: Callable[[Path, str], Program],
        *,
        max_models: int,
        max_uploads: int,
        loaded: Callable[[Model], None] = lambda _: None,
    ) -> None:
        self._folder = folder.resolve() if folder else None
        self._policy, self._load, self._told = policy, load, loaded
        self._max_models, self._max_uploads = max_models, max_uploads
        self._models: dict[str, Model] = {}
        self._digests: dict[Path, tuple[tuple[int, int, int], str]] = {}
        self._private = Path(tempfile.mkdtemp(prefix="vaccel-agent-"))
        self._uploading = asyncio.Lock()
        self._files = ThreadPoolExecutor(2, "files")
        self._loader = ThreadPoolExecutor(1, "load")

    def close(self) -> None:
        """Removes what clients sent."""
        self._files.shutdown(cancel_futures=True)
        self._loader.shutdown(cancel_futures=True)
        shutil.rmtree(self._private, ignore_errors=True)

    @property
    def models(self) -> list[Model]:
        """Every model that is registered, pinned or in memory."""
        return list(self._models.values())

    def names(self) -> list[str]:
        """The files of the store; links that lead out of it are not."""
        if self._folder is None:
            return []
        found = [path for path in self._folder.iterdir() if path.suffix in _SUFFIXES]
        return sorted(path.name for path in found if path.resolve().is_relative_to(self._folder))

    async def by_path(self, path: str) -> Model:
        """The model that a client names; the caller holds a reference.

        Raises `NotFound`, or `PermissionDenied` for what is not in the store.
        """
        match = _DIGEST.fullmatch(path)
        if match:
            return await self._by_digest(match[1])
        return await self._by_file(self._resolve(path))

    async def by_bytes(self, name: str, data: memoryview) -> Model:
        """The model whose file a client sends; the caller holds a reference.

        Raises `PermissionDenied` where the policy forbids it, `InvalidArgument` for what is no TorchScript file,
        `ResourceExhausted` where uploads fill their share of the disk.
        """
        if self._policy == "deny":
            raise PermissionDenied(
                "model bytes are not accepted here (--uploads deny); register a model of the store by its path"
            )
        digest = await self._in_thread(_sha256, data)
        # One at a time: who sends the same bytes meanwhile finds them written.
        async with self._uploading:
            model = self._models.get(digest) or await self._stored(digest)
            if model is None or model.path is None:
                model = await self._keep_upload(digest, name, data)
            model.references += 1
        return model

    def release(self, model: Model) -> None:
        """One reference less; an upload's file goes with the last."""
        model.references -= 1
        if model.references or not model.uploaded:
            return
        if model.path:
            model.path.unlink(missing_ok=True)
            model.path = None
        if not model.loaded:
            self._models.pop(model.digest, None)

    async def program(self, model: Model) -> Program:
        """The model in memory, loaded now if it is not. Raises `InvalidArgument` with the reason where it cannot be loaded."""
        model.used = time.monotonic()
        if model.program is None:
            self._make_room()
            model.program = asyncio.ensure_future(self._loaded(model))
        try:
            return await asyncio.shield(model.program)
        except asyncio.CancelledError:
            raise
        except Exception:
            model.program = None
            raise

    async def preload(self, names: tuple[str, ...]) -> list[Model]:
        """Loads models of the store and keeps them. Raises what `by_path` and `program` raise; `NotFound` for all of none."""
        wanted = self.names() if "all" in names else list(names)
        if names and not wanted:
            raise NotFound(f"no model (NAME.pt, NAME.pt2) in {self._folder}")
        models = [await self.by_path(name) for name in wanted]
        for model in models:
            model.pinned = True
            await self.program(model)
        return models

    def data(self, model: Model) -> bytes:
        """An upload's bytes. Raises `PermissionDenied` for a model of the store."""
        if not model.uploaded or model.path is None:
            raise PermissionDenied("only what the client uploaded itself can be read back; this is a model of the store")
        return model.path.read_bytes()

    def _resolve(self, path: str) -> Path:
        """The file of the store that a client's path means."""
        name = unquote(path.removeprefix("file://")) if path.startswith("file:///") else path
        if not name:
            raise InvalidArgument("the path is empty; register a model as NAME, NAME.pt, sha256:HEX or by bytes")
        if self._folder is None:
            raise NotFound(f"no model {path!r}: this agent has no store (--models)")
        outside = PermissionDenied(
            f"{path!r} is not in the model store; register a model as NAME, NAME.pt, sha256:HEX or by bytes"
        )
        if "://" in name or "\0" in name or ".." in name.split("/"):
            raise outside
        wanted = self._folder / name
        for candidate in (
            [wanted] if wanted.suffix in _SUFFIXES else [wanted.with_name(wanted.name + suffix) for suffix in _SUFFIXES]
        ):
            if not candidate.resolve().is_relative_to(self._folder):
                raise outside
            if candidate.is_file():
                return candidate
        if not wanted.parent.resolve().is_relative_to(self._folder):
            raise outside
        raise NotFound(f"no model {path!r} in the store")

    async def _by_file(self, path: Path) -> Model:
        digest = await self._in_thread(self._digest, path)
        model = self._models.get(digest)
        if model is None or (model.uploaded and model.path is None):
            model = self._add(Model(digest, path.stem, path, uploaded=False, size=path.stat().st_size))
        model.references += 1
        return model

    async def _by_digest(self, digest: str) -> Model:
        model = self._models.get(digest)
        if model is None or model.path is None:
            model = await self._stored(digest)
        if model is None:
            raise NotFound(f"no model with sha256:{digest} here; send its bytes, or put it into the store")
        model.references += 1
        return model

    async def _stored(self, digest: str) -> Model | None:
        """The file of the store with that content."""
        for name in self.names():
            path = self._resolve(name)
            if await self._in_thread(self._digest, path) == digest:
                return self._models.get(digest) or self._add(
                    Model(digest, path.stem, path, uploaded=False, size=path.stat().st_size)
                )
        return None

    def _add(self, model: Model) -> Model:
        before = self._models.get(model.digest)
        if before:
            model.program, model.references, model.pinned = before.program, before.references, before.pinned
        self._models[model.digest] = model
        return model

    async def _keep_upload(self, digest: str, name: str, data: memoryview) -> Model:
        if self._policy == "known":
            raise PermissionDenied(
                f"sha256:{digest} is no model of this agent's store, and only those are accepted as bytes (--uploads known)"
            )
        held = sum(model.size for model in self._models.values() if model.uploaded and model.path)
        if held + len(data) > self._max_uploads:
            raise ResourceExhausted(
                f"uploaded models hold {held} bytes; with this one they would pass --max-uploads",
                retry_after=5,
                reason="uploads",
            )
        path = self._private / digest
        writing = self._files.submit(_write_program, path, data)
        try:
            await asyncio.wrap_future(writing)
        except asyncio.CancelledError:
            writing.add_done_callback(lambda _: path.unlink(missing_ok=True))
            raise
        return self._add(Model(digest, Path(name).stem or "model", path, uploaded=True, size=len(data)))

    async def _loaded(self, model: Model) -> Program:
        if model.path is None:
            raise NotFound(f"the file of {model} is gone")
        program = await asyncio.get_running_loop().run_in_executor(self._loader, self._read, model, model.path)
        self._told(model)
        return program

    def _read(self, model: Model, path: Path) -> Program:
        began = time.monotonic()
        if not model.uploaded:
            _check_digest(path)
        program = self._load(path, model.name)
        _log.info("Loaded model %s in %.1f s", model, time.monotonic() - began)
        return program

    def _make_room(self) -> None:
        """Unloads what was used longest ago and nobody holds, until one more model fits."""
        loaded = [model for model in self._models.values() if model.loaded]
        idle = sorted((model for model in loaded if not model.references and not model.pinned), key=lambda model: model.used)
        for model in idle[: max(0, len(loaded) + 1 - self._max_models)]:
            model.program = None
            del self._models[model.digest]
            loaded.remove(model)
            _log.info("Unloaded model %s", model)
        if len(loaded) >= self._max_models:
            raise ResourceExhausted(f"{self._max_models} models are loaded and in use, the limit (--max-models)", retry_after=5)

    def _digest(self, path: Path) -> str:
        """The content's sha256: from the file beside it, else computed, once for each state of the file."""
        stat = path.stat()
        state = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        known = self._digests.get(path)
        if known is None or known[0] != state:
            try:
                known = (state, digest_beside(path) or _sha256_of(path))
            except ModelFileError as error:
                raise FailedPrecondition(str(error)) from None
            self._digests[path] = known
        return known[1]

    async def _in_thread(self, function: Callable[..., R], *args: Any) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._files, function, *args)


def _sha256(data: memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_digest(path: Path) -> None:
    try:
        expected = digest_beside(path)
    except ModelFileError as error:
        raise FailedPrecondition(str(error)) from None
    if expected and expected != _sha256_of(path):
        raise FailedPrecondition(f"{path.name} is not what {path.name}.sha256 says: the file or its digest is damaged")


def _write_program(path: Path, data: memoryview) -> None:
    """Writes an upload. Raises `InvalidArgument`, leaving nothing, where it is no TorchScript file."""
    try:
        with path.open("xb") as file:
            file.write(data)
        kind = program_kind(path)
        if kind == "export":
            raise InvalidArgument(
                "a torch.export file (.pt2) can carry code and is taken from the store alone; send TorchScript (.pt)"
            )
        if kind is None:
            raise InvalidArgument("the bytes are not a model: a TorchScript archive (torch.jit.save) is expected")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
