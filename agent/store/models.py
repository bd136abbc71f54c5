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
from agent.store.catalog import Catalog, extras_of
from agent.store.folder import StoreFolder
from agent.store.loader import Choose, Loader
from agent.store.model import Form, StoredModel
from agent.store.pinned import read
from agent.store.uploads_folder import UploadsFolder
from vaccel_rpc.errors import NotFound, PermissionDenied, ResourceExhausted

_log = logging.getLogger("agent.store")

#: Characters of an upload's name that are kept, for logs.
_MAX_NAME = 200

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")

R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class Store:
    """The models of a folder, and those that clients send.

    ``load`` reads a file into a program; it runs in a thread. ``check_upload`` raises where a
    client's file may not be loaded. ``choose``: see `agent.store.loader.Choose`. ``on_load`` is
    called with each model that was loaded.
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
        self._folder, self._policy = folder, policy
        self._check_upload, self._on_load = check_upload, on_load
        self._max_models, self._max_uploads = max_models, max_uploads
        self._models: dict[str, StoredModel] = {}
        self._catalog = Catalog(folder)
        self._uploads = UploadsFolder()
        self._forms = Loader(load, self._catalog, self._uploads.path, choose)
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
        """The model that a client names; the caller holds a reference.

        Raises `NotFound`, or `PermissionDenied` for a path that is not in the store.
        """
        match = _DIGEST.fullmatch(path)
        return await (self._by_digest(match[1]) if match else self._by_file(self._folder.resolve(path)))

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
            model = await self._with_content(digest) or await self._keep_upload(digest, name, data)
            model.references += 1
        return model, digest

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

    async def form(self, model: StoredModel) -> Form:
        """What runs for the model, loaded now if it is not in memory.

        Raises `InvalidArgument` with the reason where it cannot be loaded, `FailedPrecondition`
        where its file was replaced.
        """
        model.used = time.monotonic()
        if model.loading is None:
            self._make_room()
            model.loading = asyncio.ensure_future(self._loaded(model))
        try:
            return await asyncio.shield(model.loading)
        except asyncio.CancelledError:
            raise
        except Exception:
            model.loading = None
            raise

    async def preload(self, names: Sequence[str]) -> list[StoredModel]:
        """Loads models of the store and keeps them in memory.

        ``all`` means every model that is not a variant. Raises what `by_path` and `form` raise,
        and `NotFound` where the store is empty.
        """
        originals = await self._in_thread(self._catalog.originals) if "all" in names else list(names)
        if names and not originals:
            raise NotFound(f"no model ({self._folder.patterns}) in {self._folder}")
        models = [await self.by_path(name) for name in originals]
        for model in models:
            model.pinned = True
            await self.form(model)
        return models

    async def data(self, digest: str) -> bytes:
        """The bytes with that sha256, which a client sent. Raises `NotFound` once they are gone."""
        model = self._models.get(digest)
        path = model.path if model and model.path else await self._in_thread(self._catalog.find, digest)
        if path is None:
            raise NotFound(f"the file with sha256:{digest} has been removed")
        data = await self._in_thread(read, path)
        if await self._in_thread(_sha256, memoryview(data)) != digest:
            raise NotFound(f"the file of {model or path.name} has changed")
        return data

    async def _by_file(self, path: Path) -> StoredModel:
        model = await self._of_store(await self._in_thread(self._catalog.digest, path), path)
        model.references += 1
        return model

    async def _of_store(self, digest: str, path: Path) -> StoredModel:
        """The model of a file in the store, from which it is loaded unless it is in memory."""
        variant, size = await self._in_thread(self._catalog.about, path)
        model = self._models.setdefault(digest, StoredModel(digest, path.stem, path, uploaded=False, variant=variant, size=size))
        if not self._is_held(model):
            # The file by which it was known may have been replaced.
            model.name, model.path, model.uploaded, model.variant, model.size = path.stem, path, False, variant, size
        return model

    async def _by_digest(self, digest: str) -> StoredModel:
        model = self._models.get(digest)
        if model is None or not self._is_held(model):
            path = await self._in_thread(self._catalog.find, digest)
            model = await self._of_store(digest, path) if path else None
        if model is None:
            raise NotFound(f"no model with sha256:{digest}; send its bytes, or put it into the store")
        model.references += 1
        return model

    async def _with_content(self, digest: str) -> StoredModel | None:
        """The model that has that content for certain: loaded, sent by a client, or in the store."""
        model = self._models.get(digest)
        if model and self._is_held(model):
            return model
        path = await self._in_thread(lambda: self._catalog.find(digest, certain=True))
        return await self._of_store(digest, path) if path else None

    def _is_held(self, model: StoredModel) -> bool:
        """Whether its content is in memory, or in a file that a client sent."""
        return model.path is not None and (model.uploaded or model.form is not None)

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
        variant = await self._in_thread(lambda: extras_of(path).variant)
        model = self._models.setdefault(digest, StoredModel(digest, "", None, uploaded=True, variant=None))
        model.name, model.path = Path(name[-_MAX_NAME:]).stem or "model", path
        model.uploaded, model.variant, model.size = True, variant, len(data)
        return model

    async def _loaded(self, model: StoredModel) -> Form:
        form = await asyncio.get_running_loop().run_in_executor(self._loader, self._forms.form, model)
        # The task's result is what the model's label is taken from.
        asyncio.get_running_loop().call_soon(self._on_load, model)
        return form

    def _make_room(self) -> None:
        """Unloads unused models, the least recently used first, until one more fits."""
        loaded = [model for model in self._models.values() if model.loaded]
        idle = sorted((model for model in loaded if not model.references and not model.pinned), key=lambda model: model.used)
        for model in idle[: max(0, len(loaded) + 1 - self._max_models)]:
            model.loading = None
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
