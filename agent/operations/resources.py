"""Registered models: by path, by bytes, or once more in another session."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from google.protobuf.message import Message

from agent.calls import Handler, IncomingCall
from agent.metrics import AgentMetrics
from agent.store.model import StoredModel
from agent.store.models import Store
from vaccel_rpc.errors import InvalidArgument, PermissionDenied, RpcError
from vaccel_rpc.wire import Parts, nested

#: ``resource_type`` of a shared library.
_LIB = 0
#: Number of the files in SyncResource's reply.
_BLOBS = 1


class ResourceOperations:
    """Registers models of the store and of clients."""

    def __init__(self, store: Store, metrics: AgentMetrics) -> None:
        self._store, self._metrics = store, metrics
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
                model, sent = await self._model(call)
            try:
                # The session may have ended while the bytes were written.
                resource = call.scope.add_resource(call.scope.session(session.id), model, sent)
            except RpcError:
                self._store.release(model)
                raise
        return call.reply("register", resource_id=resource.id)

    async def unregister(self, call: IncomingCall) -> Message:
        """UnregisterResource."""
        call.scope.unregister(call.session(), call.request.resource_id)
        return call.reply("unregister")

    async def sync(self, call: IncomingCall) -> Parts:
        """SyncResource: gives a client back what it uploaded. One file is read at a time."""
        resource = call.scope.resource(call.request.resource_id)
        if resource.sent is None:
            raise PermissionDenied("a client can read back only the bytes that it sent; this resource was registered by a path")
        async with self._reading:
            data = await self._store.data(resource.sent)
        fields = call.dialect.blob(name=resource.model.name, size=len(data)).SerializeToString()
        return nested(_BLOBS, fields, call.dialect.blob_path[-1], data)

    async def _model(self, call: IncomingCall) -> tuple[StoredModel, str | None]:
        """The model, of which the caller holds a reference, and the sha256 of the bytes sent."""
        files, paths, field = call.dialect.blobs_of(call.request), call.request.paths, call.dialect.blobs
        if call.request.resource_type == _LIB:
            raise PermissionDenied("resource type LIB: this agent never runs client code; it accepts MODEL (2)")
        if len(files) + len(paths) != 1:
            raise InvalidArgument(
                f"a resource is one model: expected one path or one of {field}, got {len(paths)} paths and {len(files)} {field}"
            )
        if paths:
            return await self._store.by_path(paths[0]), None
        data = call.blobs[0]
        if not data:
            raise InvalidArgument(f"{field}[0] {files[0].name!r} is empty")
        return await self._upload(files[0].name, data)

    async def _upload(self, name: str, data: memoryview) -> tuple[StoredModel, str]:
        result = "failed"
        try:
            model = await self._store.by_bytes(name, data)
            result = "accepted"
            return model
        except PermissionDenied:
            result = "refused"
            raise
        finally:
            self._metrics.uploaded(result, len(data))
