"""Models by name and sha256.

The same content is one model: loaded once, shared, unloaded when unused.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from agent.config import Uploads
from agent.engines.contract import Program
from agent.store.files import Digests, FileCache, check_digest, variant_of
from agent.store.folder import StoreFolder
from agent.store.model import StoredModel
from agent.store.uploads_folder import UploadsFolder
from vaccel_common.modelfile import VariantOf
from vaccel_rpc.errors import NotFound, PermissionDenied, ResourceExhausted, RpcError

_log = logging.getLogger("agent.store")

#: Characters of an upload's name that are kept, for logs.
_MAX_NAME = 200

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")

R = TypeVar("R")
Ts = TypeVarTuple("Ts")

#: The file to run in place of the model with a digest, of the store's variants; None: the model
#: itself.
Choose = Callable[[str, Sequence[tuple[Path, VariantOf]]], Path | None]


class Store:
    """The models of a folder, and those that clients send.

    ``load`` reads a file into a program; it runs in a thread. ``check_upload`` raises where a
    client's file may not be loaded. ``choose`` is asked before a model of the store runs; None: no
    variant ever runs in a model's place. ``on_load`` is called with each model that was loaded.
    """

    def __init__(
        self,
        folder: StoreFolder,
        policy: Uploads,
        load: Callable[[Path], Program],
        check_upload: Callable[[Path], None],
        *,
        max_models: int,
        max_uploads: int,
        choose: Choose | None = None,
        on_load: Callable[[StoredModel], None] = lambda _: None,
    ) -> None:
        self._folder, self._policy, self._choose = folder, policy, choose
        self._load, self._check_upload, self._on_load = load, check_upload, on_load
        self._max_models, self._max_uploads = max_models, max_uploads
        self._models: dict[str, StoredModel] = {}
        self._digests, self._variants = Digests(), FileCache(variant_of)
        self._uploads = UploadsFolder()
        self._uploading = asyncio.Lock()
        self._files = ThreadPoolExecutor(2, "files")
        self._loader = ThreadPoolExecutor(1, "load")

    def close(self) -> None:
        """Removes the files that clients sent."""
        self._files.shutdown(cancel_futures=True)
        self._loader.shutdown(cancel_futures=True)
        self._uploads.close()

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

    async def by_path(self, path: str) -> StoredModel:
        """The model that a client names, or the variant that runs in its place; the caller holds a
        reference.

        Raises `NotFound`, or `PermissionDenied` for a path that is not in the store.
        """
        match = _DIGEST.fullmatch(path)
        model = await (self._by_digest(match[1]) if match else self._by_file(self._folder.resolve(path)))
        return await self._in_place_of(model)

    async def by_bytes(self, name: str, data: memoryview) -> tuple[StoredModel, str]:
        """The model whose file a client sends, and the file's sha256; the caller holds a reference.

        Raises `PermissionDenied` where the policy forbids it, `InvalidArgument` where the bytes are
        not a model that may be uploaded, `ResourceExhausted` where uploads fill their share of the
        disk.
        """
        if self._policy == "deny":
            raise PermissionDenied(
                "model bytes are not accepted here (--uploads deny); register a model of the store by its path"
            )
        digest = await self._in_thread(_sha256, data)
        # One upload at a time: a second client with the same bytes waits, and shares the file.
        async with self._uploading:
            model = self._models.get(digest) or await self._in_store(digest)
            if model is None or model.path is None:
                model = await self._keep_upload(digest, name, data)
            model.references += 1
        return await self._in_place_of(model), digest

    def release(self, model: StoredModel) -> None:
        """Drops a reference. An upload's file is removed with the last one."""
        model.references -= 1
        if model.references or not model.uploaded:
            return
        if model.path:
            model.path.unlink(missing_ok=True)
            model.path = None
        if not model.loaded:
            self._models.pop(model.digest, None)

    async def program(self, model: StoredModel) -> Program:
        """The model's program, loaded now if it is not in memory.

        Raises `InvalidArgument` with the reason where it cannot be loaded.
        """
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

    async def preload(self, names: Sequence[str]) -> list[StoredModel]:
        """Loads models of the store and keeps them in memory.

        ``all`` means every model that is not a variant. Raises what `by_path` and `program` raise,
        and `NotFound` where the store is empty.
        """
        originals = await self._in_thread(self._originals) if "all" in names else list(names)
        if names and not originals:
            raise NotFound(f"no model ({self._folder.patterns}) in {self._folder}")
        models = [await self.by_path(name) for name in originals]
        for model in models:
            model.pinned = True
            await self.program(model)
        return models

    async def data(self, digest: str) -> bytes:
        """The bytes with that sha256, which a client sent. Raises `NotFound` once they are gone."""
        model = await self._by_digest(digest)
        try:
            if model.path is None:
                raise NotFound(f"the file of {model} has been removed")
            data = await self._in_thread(model.path.read_bytes)
            if await self._in_thread(_sha256, memoryview(data)) != digest:
                raise NotFound(f"the file of {model} has changed")
            return data
        except FileNotFoundError:
            raise NotFound(f"the file of {model} has been removed") from None
        finally:
            self.release(model)

    def _originals(self) -> list[str]:
        return [path.name for path in self._folder.files() if self._variants.of(path) is None]

    async def _in_place_of(self, model: StoredModel) -> StoredModel:
        """The variant that is to run in the model's place, or the model itself.

        The caller's reference moves to the result. A client that names a variant gets that variant.
        """
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
        return choose(digest, [(path, variant) for path in self._folder.files() if (variant := self._variants.of(path))])

    async def _by_file(self, path: Path) -> StoredModel:
        digest = await self._in_thread(self._digests.of, path)
        model = self._models.get(digest)
        if model is None or (model.uploaded and model.path is None):
            model = await self._add_file(digest, path)
        model.references += 1
        return model

    async def _add_file(self, digest: str, path: Path) -> StoredModel:
        variant = await self._in_thread(self._variants.of, path)
        # Another call may have added it meanwhile.
        model = self._models.get(digest)
        if model and model.path is not None:
            return model
        return self._add(StoredModel(digest, path.stem, path, uploaded=False, variant=variant, size=path.stat().st_size))

    async def _by_digest(self, digest: str) -> StoredModel:
        model = self._models.get(digest)
        if model is None or model.path is None:
            model = await self._in_store(digest)
        if model is None:
            raise NotFound(f"no model with sha256:{digest}; send its bytes, or put it into the store")
        model.references += 1
        return model

    async def _in_store(self, digest: str) -> StoredModel | None:
        """The model of the store with that content."""
        path = await self._in_thread(self._digests.find, digest, self._folder.files())
        return await self._add_file(digest, path) if path else None

    def _add(self, model: StoredModel) -> StoredModel:
        before = self._models.get(model.digest)
        if before:
            model.program, model.references, model.pinned = before.program, before.references, before.pinned
        self._models[model.digest] = model
        return model

    async def _keep_upload(self, digest: str, name: str, data: memoryview) -> StoredModel:
        if self._policy == "known":
            raise PermissionDenied(f"sha256:{digest} is not a model of the store; no other bytes are accepted (--uploads known)")
        if len(data) > self._max_uploads:
            raise ResourceExhausted(
                f"the model has {len(data)} bytes, more than all uploads may have: {self._max_uploads} (--max-uploads)",
                reason="uploads",
            )
        held = sum(model.size for model in self._models.values() if model.uploaded and model.path)
        if held + len(data) > self._max_uploads:
            raise ResourceExhausted(
                f"uploaded models hold {held} bytes; with this one they would exceed --max-uploads",
                retry_after=5,
                reason="uploads",
            )
        path = await self._uploads.write(digest, data, self._check_upload, self._files)
        variant = await self._in_thread(variant_of, path)
        return self._add(
            StoredModel(digest, Path(name[-_MAX_NAME:]).stem or "model", path, uploaded=True, variant=variant, size=len(data))
        )

    async def _loaded(self, model: StoredModel) -> Program:
        if model.path is None:
            raise NotFound(f"the file of {model} has been removed")
        program = await asyncio.get_running_loop().run_in_executor(self._loader, self._read, model, model.path)
        self._on_load(model)
        return program

    def _read(self, model: StoredModel, path: Path) -> Program:
        began = time.monotonic()
        try:
            if not model.uploaded:
                check_digest(path)
            program = self._load(path)
        except RpcError as error:
            _log.warning("Model %s cannot be loaded: %s", model, error.message)
            raise
        _log.info("Loaded model %s in %.1f s%s", model, time.monotonic() - began, model.kind)
        return program

    def _make_room(self) -> None:
        """Unloads unused models, the least recently used first, until one more fits."""
        loaded = [model for model in self._models.values() if model.loaded]
        idle = sorted((model for model in loaded if not model.references and not model.pinned), key=lambda model: model.used)
        for model in idle[: max(0, len(loaded) + 1 - self._max_models)]:
            model.program = None
            del self._models[model.digest]
            loaded.remove(model)
            _log.info("Unloaded model %s", model)
        if len(loaded) >= self._max_models:
            raise ResourceExhausted(
                f"{self._max_models} models are loaded and in use, the limit (--max-models)", retry_after=5, reason="models"
            )

    async def _in_thread(self, function: Callable[[*Ts], R], *args: *Ts) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._files, function, *args)


def _sha256(data: memoryview) -> str:
    return hashlib.sha256(data).hexdigest()
