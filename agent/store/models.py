"""Models by name and sha256.

The same content is one model: loaded once, shared, unloaded when unused.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from agent.config import Uploads
from agent.engines.contract import Program
from agent.store.catalog import Catalog, Referred
from agent.store.contents import Contents
from agent.store.folder import StoreFolder, digest_in
from agent.store.halves import Halves
from agent.store.hashing import Hashes
from agent.store.loader import Choose, Loader, LoadUpload
from agent.store.loading import LoadingThread
from agent.store.model import Form, StoredModel, with_name
from agent.store.pinned import read
from agent.store.room import Room
from agent.store.several import check_names, content_digest, model_among
from agent.store.threads import in_thread
from agent.store.uploaded_files import CheckUpload, UploadedFiles
from agent.store.uploads_folder import Files
from vaccel_common.interface import ModelInterface
from vaccel_common.process import resident_memory
from vaccel_rpc.errors import NotFound

_log = logging.getLogger("agent.store")

#: Characters of an upload's name that are kept, for logs.
_MAX_NAME = 200

#: Name and sha256 of each file that a client sent for a model, in its order.
Sent = Sequence[tuple[str, str]]


class Store:
    """The models of a folder, and those that clients send.

    ``load`` reads a file into a program; it runs in a thread. ``load_upload``: as ``load``, for a
    client's file; None: the same. ``check_upload``: see `CheckUpload`. ``referred``: the names of
    the files that a model's file refers to. ``memory_used``, ``choose``, ``halves``: see
    `agent.store.loader`. ``room``: what models in memory may take. ``on_load``, ``on_unload`` are
    called with each model that was loaded, or has left.
    """

    def __init__(
        self,
        folder: StoreFolder,
        policy: Uploads,
        load: Callable[[Path], Program],
        check_upload: CheckUpload,
        *,
        room: Room,
        referred: Referred = lambda _: (),
        load_upload: LoadUpload | None = None,
        memory_used: Callable[[Path], int] = lambda _: resident_memory(),
        choose: Choose | None = None,
        halves: Halves = lambda _: {},
        on_load: Callable[[StoredModel], None] = lambda _: None,
        on_unload: Callable[[StoredModel], None] = lambda _: None,
    ) -> None:
        self._folder, self._room = folder, room
        self._on_load, self._on_unload = on_load, on_unload
        self._models: dict[str, StoredModel] = {}
        self._catalog = Catalog(folder, referred)
        self._files, self._hashes = ThreadPoolExecutor(2, "files"), Hashes()
        self._contents = Contents(folder, self._catalog, self._hashes, self._files)
        self._uploads = UploadedFiles(policy, check_upload, referred)
        loader = Loader(load, load_upload, memory_used, self._catalog, self._uploads.path, choose, halves)
        #: The thread in which models are loaded.
        self.loading = LoadingThread(loader.form)
        self._uploading = asyncio.Lock()

    def close(self, *, wait: bool = True) -> None:
        """Removes the files that clients sent; ``wait``: after what is being loaded."""
        self._hashes.close(wait=wait)
        self._uploads.stop(wait=wait)
        self._files.shutdown(wait, cancel_futures=True)
        self.loading.close(wait=wait)
        self._uploads.close()

    @property
    def models(self) -> list[StoredModel]:
        """Every model that is registered, pinned or in memory."""
        return list(self._models.values())

    @property
    def loaded(self) -> list[StoredModel]:
        """The models whose programs are in memory, or about to be."""
        return [model for model in self._models.values() if model.loaded]

    async def by_paths(self, paths: Sequence[str]) -> StoredModel:
        """The model that a client names, by one path or by one for each of its files; the caller
        holds a reference.

        Raises `NotFound`, `PermissionDenied` for a path that is not in the store, and
        `InvalidArgument` unless several paths are a model and the files that it refers to.
        """
        if len(paths) > 1:
            return await self._by_file(await in_thread(self._files, self._catalog.several, paths))
        digest = digest_in(paths[0])
        return await (self._by_digest(digest) if digest else self._by_file(self._folder.resolve(paths[0])))

    async def by_bytes(self, files: Files) -> tuple[StoredModel, Sent]:
        """The model whose files a client sends, and what was sent; the caller holds a reference.

        Raises `PermissionDenied` where the policy forbids it, `InvalidArgument` where the bytes are
        not a model that may be uploaded, `ResourceExhausted` where uploads fill their share of the
        disk.
        """
        self._uploads.check_bytes()
        if len(files) > 1:
            check_names([name for name, _ in files])
        at = model_among([name for name, _ in files], self._folder.suffixes)
        own, *others = files[at], *files[:at], *files[at + 1 :]
        sent = [(name, await self._hashes.of_bytes(data)) for name, data in files]
        digest = content_digest(sent[at][1], {name: each for i, (name, each) in enumerate(sent) if i != at})
        if model := self._sent(digest) or await self._in_store(digest, len(own[1])):
            model.references += 1
            return model, sent
        # One upload at a time: a second client with the same bytes waits, and shares the file.
        async with self._uploading:
            model = self._sent(digest) or await self._keep_upload(digest, [own, *others])
            model.references += 1
        return model, sent

    def release(self, model: StoredModel) -> None:
        """Drops a reference. An upload's file is removed with the last one."""
        model.references -= 1
        if model.references:
            return
        if model.uploaded and model.path:
            self._uploads.remove(model.path)
            model.path = None
        self._forget(model)

    async def form(self, model: StoredModel) -> Form:
        """What runs for the model, loaded now if it is not in memory.

        Raises `InvalidArgument` with the reason where it cannot be loaded, `FailedPrecondition`
        where its file was replaced.
        """
        model.used = time.monotonic()
        if model.loading is None:
            self._unload(self._room.leaving(self._models.values(), model.size, time.monotonic()))
            # It may have been released since its run began.
            self._models.setdefault(model.digest, model)
            model.loading = asyncio.ensure_future(self._loaded(model))
            if model.uploaded and model.path:
                self._uploads.hold(model.loading, model.path, model.size)
        return await asyncio.shield(model.loading)

    async def preload(self, names: Sequence[str]) -> list[StoredModel]:
        """Loads models of the store and keeps them in memory.

        ``all`` means every model that is not a variant. Raises what `by_paths` and `form` raise,
        and `NotFound` where the store is empty.
        """
        originals = await self.originals() if "all" in names else list(names)
        if names and not originals:
            raise NotFound(f"no model ({self._folder.patterns}) in {self._folder}")
        models = [await with_name(name, self.by_paths([name])) for name in originals]
        for name, model in zip(originals, models, strict=True):
            await with_name(name, self._pin(model))
        return models

    async def interface(self, digest: str) -> ModelInterface:
        """What clients have of the store's model with that sha256 beside its program. Raises `NotFound`."""
        if path := await self._contents.find(digest):
            return await in_thread(self._files, self._catalog.interface, path)
        raise NotFound(f"no model with sha256:{digest} in the store")

    async def originals(self) -> list[str]:
        """The names of the store's files that are not variants of another one."""
        return await self._contents.originals()

    async def unload(self, model: StoredModel) -> None:
        """Drops the model from memory, if it is there; its next run loads it again."""
        model.pinned = False
        if model.loading:
            await asyncio.wait([model.loading])
        if model.form:
            self._unload([model])

    async def data(self, model: StoredModel, digest: str) -> bytes:
        """The bytes with that sha256, of the model's files. Raises `NotFound` once they are gone."""
        path = model.path
        if path is None:
            raise NotFound(f"the file of {model} has been removed")
        for name in (path.name, *model.others):
            if await self._hashes.of_file(path.parent / name) == digest:
                data = await in_thread(self._files, read, path.parent / name)
                if await self._hashes.of_bytes(memoryview(data)) == digest:
                    return data
        raise NotFound(f"the file of {model} has changed")

    async def _by_file(self, path: Path) -> StoredModel:
        model = await self._of_store(await self._contents.digest(path), path)
        model.references += 1
        return model

    async def _of_store(self, digest: str, path: Path) -> StoredModel:
        """The model of a file in the store, from which it is loaded unless it is in memory."""
        variant, size = await in_thread(self._files, self._catalog.about, path)
        others = await in_thread(self._files, self._catalog.others, path)
        model = self._models.setdefault(digest, StoredModel(digest, path.stem, None, uploaded=False, variant=variant))
        if not self._held(digest):
            model.name, model.uploaded, model.variant, model.size = path.stem, False, variant, size
        if not model.uploaded:
            # The file by which it was known may have been replaced.
            model.path, model.others = path, others
        return model

    async def _by_digest(self, digest: str) -> StoredModel:
        model = self._held(digest) or await self._in_store(digest)
        if model is None:
            raise NotFound(f"no model with sha256:{digest}; send its bytes, or put it into the store")
        model.references += 1
        return model

    async def _in_store(self, digest: str, size: int | None = None) -> StoredModel | None:
        """The model that has that content in a file of the store now. ``size``: of its own file."""
        path = await self._contents.find(digest, size)
        return await self._of_store(digest, path) if path else None

    def _held(self, digest: str) -> StoredModel | None:
        """The model with that content, if it is in memory or in a file that a client sent."""
        model = self._models.get(digest)
        return model if model and model.path is not None and (model.uploaded or model.form is not None) else None

    def _sent(self, digest: str) -> StoredModel | None:
        """The model with that content, if it is in a file that a client sent: one of the store may be gone, though in memory."""
        model = self._held(digest)
        return model if model and model.uploaded else None

    async def _keep_upload(self, digest: str, files: Files) -> StoredModel:
        self._uploads.check_unknown(digest, files)
        size = sum(len(data) for _, data in files)
        if leaving := self._room.leaving_disk(self._models.values(), self._uploads.size, size):
            self._unload(leaving)
            await self._uploads.shrunk(self._room.uploads - size)
        self._room.check_upload(self._uploads.size, size)
        path, variant = await self._uploads.keep(digest, files)
        model = self._models.setdefault(digest, StoredModel(digest, "", None, uploaded=True, variant=None))
        (name, _), others = files[0], [name for name, _ in files[1:]]
        model.name, model.path, model.others = Path(name[-_MAX_NAME:]).stem or "model", path, others
        model.uploaded, model.variant, model.size = True, variant, size
        return model

    async def _loaded(self, model: StoredModel) -> Form:
        try:
            form = await self.loading.form(model)
        except BaseException:
            model.loading = None
            self._forget(model)
            raise
        if form.upload:
            self._uploads.hold(form.program, form.upload, model.size)
        # The task's result is what the model's label and its memory are taken from.
        asyncio.get_running_loop().call_soon(self._has_loaded, model)
        return form

    def _has_loaded(self, model: StoredModel) -> None:
        self._on_load(model)
        self._unload(self._room.surplus(self._models.values(), time.monotonic()))
        if self._room.exceeded(self._models.values()):
            _log.warning("With model %s the models in use take more than --max-model-memory", model)

    def _unload(self, models: Sequence[StoredModel]) -> None:
        for model in models:
            self._on_unload(model)
            model.loading = None
            self._forget(model)
            _log.info("Unloaded model %s", model)
        if models:
            self.loading.give_back()

    async def _pin(self, model: StoredModel) -> None:
        """Loads a model to stay in memory, and drops a reference to it."""
        model.pinned = True
        try:
            await self.form(model)
        finally:
            model.pinned = model.form is not None
            self.release(model)

    def _forget(self, model: StoredModel) -> None:
        """Forgets a model that nobody has registered and that is not in memory."""
        if not model.references and not model.loaded and self._models.get(model.digest) is model:
            del self._models[model.digest]
