"""Model files by name and sha256. The same content is one model, whoever brings it: loaded once, shared, evicted when unused."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

from agent.config import Uploads
from agent.engines.contract import Program
from agent.store.files import FileCache, check_digest, digest_of, variant_of, write_program
from agent.store.model import StoredModel
from vaccel_common.modelfile import VariantOf
from vaccel_rpc.errors import InvalidArgument, NotFound, PermissionDenied, ResourceExhausted

_log = logging.getLogger("agent.store")

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")

R = TypeVar("R")


Choose = Callable[[str, Sequence[tuple[Path, VariantOf]]], Path | None]


class Store:
    """The models of a directory, and those that clients send.

    ``load`` reads a file into a program; it runs in a thread. ``suffixes()``: of the files it reads. ``choose``: the file to run in
    place of a model of the store; None: no other ever does. ``on_load`` is called with each model that was loaded.
    """

    def __init__(
        self,
        folder: Path | None,
        policy: Uploads,
        load: Callable[[Path], Program],
        *,
        max_models: int,
        max_uploads: int,
        suffixes: Callable[[], Sequence[str]] = lambda: (".pt", ".pt2"),
        choose: Choose | None = None,
        on_load: Callable[[StoredModel], None] = lambda _: None,
    ) -> None:
        self._folder = folder.resolve() if folder else None
        self._policy, self._load, self._on_load = policy, load, on_load
        self._max_models, self._max_uploads = max_models, max_uploads
        self._models: dict[str, StoredModel] = {}
        self._suffixes, self._choose = suffixes, choose
        self._digests, self._variants = FileCache(digest_of), FileCache(variant_of)
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
    def models(self) -> list[StoredModel]:
        """Every model that is registered, pinned or in memory."""
        return list(self._models.values())

    @property
    def loaded(self) -> int:
        """Models whose programs are in memory, or about to be."""
        return sum(model.loaded for model in self._models.values())

    @property
    def loaded_bytes(self) -> int:
        """Bytes of the files of these models."""
        return sum(model.size for model in self._models.values() if model.loaded)

    def names(self) -> list[str]:
        """The files of the store; links that lead out of it are not."""
        if self._folder is None:
            return []
        found = [path for path in self._folder.iterdir() if path.suffix in self._suffixes()]
        return sorted(path.name for path in found if path.resolve().is_relative_to(self._folder))

    async def by_path(self, path: str) -> StoredModel:
        """The model that a client names, or the variant that runs in its place; the caller holds a reference.

        Raises `NotFound`, or `PermissionDenied` for what is not in the store.
        """
        match = _DIGEST.fullmatch(path)
        model = await (self._by_digest(match[1]) if match else self._by_file(self._resolve(path)))
        return await self._in_place_of(model)

    async def by_bytes(self, name: str, data: memoryview) -> StoredModel:
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
        return await self._in_place_of(model)

    def release(self, model: StoredModel) -> None:
        """One reference less; an upload's file goes with the last."""
        model.references -= 1
        if model.references or not model.uploaded:
            return
        if model.path:
            model.path.unlink(missing_ok=True)
            model.path = None
        if not model.loaded:
            self._models.pop(model.digest, None)

    async def program(self, model: StoredModel) -> Program:
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

    async def preload(self, names: tuple[str, ...]) -> list[StoredModel]:
        """Loads models of the store and keeps them. Raises what `by_path` and `program` raise; `NotFound` for all of none."""
        wanted = await self._in_thread(self._originals) if "all" in names else list(names)
        if names and not wanted:
            raise NotFound(f"no model ({', '.join(f'NAME{suffix}' for suffix in self._suffixes())}) in {self._folder}")
        models = [await self.by_path(name) for name in wanted]
        for model in models:
            model.pinned = True
            await self.program(model)
        return models

    def data(self, model: StoredModel) -> bytes:
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
        wanted, suffixes = self._folder / name, self._suffixes()
        for candidate in [wanted] if wanted.suffix in suffixes else [wanted.with_name(wanted.name + end) for end in suffixes]:
            if not candidate.resolve().is_relative_to(self._folder):
                raise outside
            if candidate.is_file():
                return candidate
        if not wanted.parent.resolve().is_relative_to(self._folder):
            raise outside
        raise NotFound(f"no model {path!r} in the store")

    def _originals(self) -> list[str]:
        """The files of the store that are nobody's variant."""
        return [name for name in self.names() if self._variants.of(self._resolve(name)) is None]

    async def _in_place_of(self, model: StoredModel) -> StoredModel:
        """The variant that is to run for ``model``, or itself; the caller's reference is then to that. Who names a variant gets it."""
        if self._choose is None or model.uploaded or model.variant:
            return model
        variant: StoredModel | None = None
        try:
            path = await self._in_thread(self._chosen, self._choose, model.digest)
            variant = await self._by_file(path) if path else model
            return variant
        finally:
            if variant is not model:
                self.release(model)

    def _chosen(self, choose: Choose, digest: str) -> Path | None:
        paths = [self._resolve(name) for name in self.names()]
        return choose(digest, [(path, variant) for path in paths if (variant := self._variants.of(path))])

    async def _by_file(self, path: Path) -> StoredModel:
        digest = await self._in_thread(self._digests.of, path)
        model = self._models.get(digest)
        if model is None or (model.uploaded and model.path is None):
            model = await self._add_file(digest, path)
        model.references += 1
        return model

    async def _add_file(self, digest: str, path: Path) -> StoredModel:
        variant = await self._in_thread(self._variants.of, path)
        known = self._models.get(digest)
        if known and known.path is not None:
            return known
        return self._add(StoredModel(digest, path.stem, path, uploaded=False, variant=variant, size=path.stat().st_size))

    async def _by_digest(self, digest: str) -> StoredModel:
        model = self._models.get(digest)
        if model is None or model.path is None:
            model = await self._stored(digest)
        if model is None:
            raise NotFound(f"no model with sha256:{digest} here; send its bytes, or put it into the store")
        model.references += 1
        return model

    async def _stored(self, digest: str) -> StoredModel | None:
        """The file of the store with that content."""
        for name in self.names():
            path = self._resolve(name)
            if await self._in_thread(self._digests.of, path) == digest:
                return await self._add_file(digest, path)
        return None

    def _add(self, model: StoredModel) -> StoredModel:
        before = self._models.get(model.digest)
        if before:
            model.program, model.references, model.pinned = before.program, before.references, before.pinned
        self._models[model.digest] = model
        return model

    async def _keep_upload(self, digest: str, name: str, data: memoryview) -> StoredModel:
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
        writing = self._files.submit(write_program, path, data)
        try:
            await asyncio.wrap_future(writing)
        except asyncio.CancelledError:
            writing.add_done_callback(lambda _: path.unlink(missing_ok=True))
            raise
        variant = await self._in_thread(variant_of, path)
        return self._add(StoredModel(digest, Path(name).stem or "model", path, uploaded=True, variant=variant, size=len(data)))

    async def _loaded(self, model: StoredModel) -> Program:
        if model.path is None:
            raise NotFound(f"the file of {model} is gone")
        program = await asyncio.get_running_loop().run_in_executor(self._loader, self._read, model, model.path)
        self._on_load(model)
        return program

    def _read(self, model: StoredModel, path: Path) -> Program:
        began = time.monotonic()
        if not model.uploaded:
            check_digest(path)
        program = self._load(path)
        _log.info("Loaded model %s in %.1f s%s", model, time.monotonic() - began, model.kind)
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

    async def _in_thread(self, function: Callable[..., R], *args: Any) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._files, function, *args)


def _sha256(data: memoryview) -> str:
    return hashlib.sha256(data).hexdigest()
