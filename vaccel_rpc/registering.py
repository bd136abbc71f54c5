"""Registers a model with an agent: by its name or digest and, where that is refused, by its bytes."""

from __future__ import annotations

import mmap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vaccel_rpc.client import VaccelClient
from vaccel_rpc.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    RpcError,
    Unavailable,
)
from vaccel_rpc.extensions import INTERFACE

if TYPE_CHECKING:
    from vaccel_common.interface import ModelInterface

#: What says nothing about the model: the same attempt may succeed later.
_UNREACHED = (Unavailable, DeadlineExceeded)
#: Seconds for which a refused upload is not repeated: a large file would travel at every attempt.
_UPLOAD_PAUSE_S = 30.0
#: Characters of an agent's reason that are repeated.
_MAX_REASON = 1000


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from.

    ``path``: its name in the agent's store (``NAME``, ``sha256:HEX``). ``upload``: the file to send
    where the agent refuses the path. ``interface``: what the caller has of the model that a name
    means; an agent whose model has another one refuses it.
    """

    path: str | None
    upload: Path | None = None
    interface: ModelInterface | None = None

    @property
    def named(self) -> bool:
        """Whether the agent decides which model it is, which may change."""
        return self.path is not None and not self.path.startswith("sha256:")


@dataclass(frozen=True)
class Registered:
    """A model that an agent has registered. ``how``: by what, for the log."""

    resource: int
    uploaded: bool
    how: str


class Registrar:
    """Registers one model with an agent, again after each reconnection. Not thread-safe."""

    def __init__(self, source: ModelSource) -> None:
        self._source = source
        self._refused: RpcError | None = None
        self._refused_at = 0.0

    def register(self, client: VaccelClient, session: int, timeout: float | None) -> Registered:
        """Registers the model with a session; ``timeout``: seconds in all.

        Upstream's agents answer a path that they cannot open with INTERNAL, and ours with
        NOT_FOUND: any refusal leads to an upload, where there is a file. Raises the `RpcError` of
        the path or of the upload; of a refused upload it names both reasons.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        path, file = self._source.path, self._source.upload
        if path is None:
            if file is None:
                raise NotFound("no model is configured")
            return self._upload(client, session, file, deadline, "")
        try:
            known = {INTERFACE: str(self._source.interface)} if self._source.interface else None
            return Registered(client.register_paths(session, [path], timeout, known), uploaded=False, how=f"registered as {path}")
        except (*_UNREACHED, ResourceExhausted):
            raise
        except RpcError as error:
            if file is None:
                message = f"{error.message} (registering {path}, whose file is not here to be uploaded)"
                raise type(error)(message, errno=error.errno, retry_after=error.retry_after) from None
            refusal = f"{path} was refused: {_reason(error)}"
        return self._upload(client, session, file, deadline, refusal)

    def _upload(self, client: VaccelClient, session: int, file: Path, deadline: float | None, refusal: str) -> Registered:
        began = time.monotonic()
        if self._refused and began - self._refused_at < _UPLOAD_PAUSE_S:
            raise self._refused
        try:
            resource, length = _send(client, session, file, deadline)
        except _UNREACHED:
            raise
        except RpcError as error:
            reasons = f"the upload of {file.name} was refused: {_reason(error)}"
            self._refused = type(error)(
                f"{reasons}; {refusal}" if refusal else reasons, errno=error.errno, retry_after=error.retry_after
            )
            self._refused_at = time.monotonic()
            raise self._refused from None
        self._refused = None
        how = f"uploaded from {file.name}, {length} bytes in {time.monotonic() - began:.2f} s"
        return Registered(resource, uploaded=True, how=f"{how} ({refusal})" if refusal else how)


def seconds_left(deadline: float | None) -> float | None:
    """Seconds until ``deadline`` (of the monotonic clock), at least 0; None where there is none."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _reason(error: RpcError) -> str:
    return f"{error.name}: {error.message[:_MAX_REASON]}"


def _send(client: VaccelClient, session: int, file: Path, deadline: float | None) -> tuple[int, int]:
    """Uploads a file without reading it into memory; the resource's id, and the file's size."""
    try:
        if not file.stat().st_size:
            raise FailedPrecondition(f"{file} is empty")
        with (
            file.open("rb") as opened,
            mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as data,
        ):
            return _send_bytes(client, session, data, file.name, deadline), len(data)
    except OSError as error:
        raise FailedPrecondition(f"{file}: {error.strerror or error}") from None


def _send_bytes(client: VaccelClient, session: int, data: memoryview, name: str, deadline: float | None) -> int:
    try:
        return client.register_bytes(session, data, name, seconds_left(deadline))
    except Internal:
        if client.version != "0.7":
            raise
        # Builds of upstream's main branch from 2025-06-30 to 2025-07-17 have 0.7's methods, but
        # uploads in a newer form; bytes in the older form they do not see.
        try:
            return VaccelClient(client.channel, "2025-07").register_bytes(session, data, name, seconds_left(deadline))
        except (Internal, InvalidArgument):
            pass
        raise
