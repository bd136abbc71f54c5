"""Registered models: by path, by bytes, or once more in another session."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from google.protobuf.message import Message

from agent.calls import Handler, IncomingCall
from agent.metrics import AgentMetrics
from agent.store.alias import Alias
from agent.store.aliases import Aliases
from agent.store.folder import digest_in
from agent.store.model import StoredModel
from agent.store.models import Sent, Store
from agent.store.uploads_folder import Files
from vaccel_common.interface import parse_interface
from vaccel_rpc.errors import InvalidArgument, PermissionDenied
from vaccel_rpc.extensions import INTERFACE
from vaccel_rpc.wire import Parts, nested

#: ``resource_type`` of a shared library.
_LIB = 0
#: Number of the files in SyncResource's reply.
_BLOBS = 1


class ResourceOperations:
    """Registers models of the store, by their names or those of ``aliases``, and models of clients."""

    def __init__(self, store: Store, aliases: Aliases, metrics: AgentMetrics) -> None:
        self._store, self._aliases, self._metrics = store, aliases, metrics
        # A few bytes ask for a gigabyte, which counts against --max-buffer only once it is sent.
        self._reading = asyncio.Lock()

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """By operation."""
        return {"register": self.register, "unregister": self.unregister, "sync": self.sync}

    async def register(self, call: IncomingCall) -> Message:
        """RegisterResource: by path, by bytes, or a resource of this scope once more."""
        session = call.session()
        if call.request.resource_id > 0:
            resource = call.scope.resource(call.request.resource_id)
            call.scope.register(session, resource)
        else:
            with session.in_use():
                registered, sent = await self._registered(call)
            try:
                # The session may have ended while the bytes were written.
                current, paths = call.scope.session(session.id), call.request.paths
                resource = call.scope.add_resource(current, registered, sent, named=len(paths) == 1 and not digest_in(paths[0]))
            except BaseException:
                self._aliases.release(registered)
                raise
        return call.reply("register", resource_id=resource.id)

    async def unregister(self, call: IncomingCall) -> Message:
        """UnregisterResource."""
        call.scope.unregister(call.session(), call.request.resource_id)
        return call.reply("unregister")

    async def sync(self, call: IncomingCall) -> Parts:
        """SyncResource: gives a client back what it uploaded. One resource is read at a time."""
        resource = call.scope.resource(call.request.resource_id)
        if resource.sent is None:
            raise PermissionDenied("a client can read back only the bytes that it sent; this resource was registered by a path")
        parts: list[bytes | bytearray | memoryview] = []
        async with self._reading:
            for sent, digest in resource.sent:
                data = await self._store.data(resource.model, digest)
                # A single file is given back by the model's name, as it was recorded for upstream's clients.
                name = sent if len(resource.sent) > 1 else resource.model.name
                fields = call.dialect.blob(name=name, size=len(data)).SerializeToString()
                parts += nested(_BLOBS, fields, call.dialect.blob_path[-1], data)
        return parts

    async def _registered(self, call: IncomingCall) -> tuple[StoredModel | Alias, Sent | None]:
        """The model or alias, of which the caller holds a reference, and the files that were sent."""
        files, paths, field = call.dialect.blobs_of(call.request), call.request.paths, call.dialect.blobs
        if call.request.resource_type == _LIB:
            raise PermissionDenied("resource type LIB: this agent never runs client code; it accepts MODEL (2)")
        if bool(files) == bool(paths):
            raise InvalidArgument(
                f"a resource is one model, by paths or by {field}: got {len(paths)} paths and {len(files)} {field}"
            )
        if paths:
            return await self._aliases.by_paths(list(paths), parse_interface(call.metadata.get(INTERFACE, ""))), None
        for i, (file, data) in enumerate(zip(files, call.blobs, strict=True)):
            if not data:
                raise InvalidArgument(f"{field}[{i}] {file.name!r} is empty")
        return await self._upload([(file.name, data) for file, data in zip(files, call.blobs, strict=True)])

    async def _upload(self, files: Files) -> tuple[StoredModel, Sent]:
        result = "failed"
        try:
            model = await self._store.by_bytes(files)
            result = "accepted"
            return model
        except PermissionDenied:
            result = "refused"
            raise
        finally:
            self._metrics.uploaded(result, sum(len(data) for _, data in files))
