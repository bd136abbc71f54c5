"""How an agent ends: its clients are told before anything closes, and what was taken is answered.

At once the agent is not ready, accepts no connections and refuses new calls. Clients of ours stop by
themselves when they are told, and close their connections once their runs are over; any other
client learns it by UNAVAILABLE. The agent has ended as soon as nothing is left to answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from agent.batching.batcher import Batcher
from agent.listening import Listeners
from agent.service import RpcService
from agent.sessions import Sessions
from agent.transports.ttrpc_server import TtrpcServer
from vaccel_rpc.draining import CROSSING_S

if TYPE_CHECKING:
    from agent.transports.grpc import GrpcServer

_log = logging.getLogger("agent")

#: Seconds between two looks at what is left, and those for gRPC to send its last answers.
_LOOK_S, _GRPC_S = 0.01, 1.0


class Leaving:
    """The end of one agent. ``not_ready``: tells probes, and clients over gRPC, that it is not ready."""

    def __init__(
        self,
        service: RpcService,
        sessions: Sessions,
        batcher: Batcher,
        listeners: Listeners,
        ttrpc: TtrpcServer,
        grpc: GrpcServer | None,
        not_ready: Callable[[], Awaitable[None]],
    ) -> None:
        self._service, self._sessions, self._batcher = service, sessions, batcher
        self._listeners, self._ttrpc, self._grpc, self._not_ready = listeners, ttrpc, grpc, not_ready

    async def run(self, grace: float, reason: str = "the agent is shutting down") -> None:
        """Returns when all is answered, or after ``grace`` seconds. ``reason``: what refused clients are told."""
        began = time.monotonic()
        end = began + grace
        told = self._sessions.announced
        self._service.drain(reason)
        self._listeners.stop_accepting()
        await self._not_ready()
        self._ttrpc.tell()
        _log.info("Shutting down: %d clients told, waiting for %d calls in %d sessions", told, *self._left())
        while time.monotonic() < end and not self._all_answered(began):
            await asyncio.sleep(_LOOK_S)
        if self._service.active:
            _log.warning("%d calls did not finish within %g s", self._service.active, grace)
            self.log_dropped()
        self._batcher.close()
        if self._grpc:
            await self._grpc.stop(max(0.0, min(_GRPC_S, end - time.monotonic())))
        self._ttrpc.close()
        # Answers are written until their clients have read them. And a batch whose client is gone
        # still runs: a thread that is in an engine when the interpreter ends would crash the process.
        await asyncio.sleep(0)
        while time.monotonic() < end and (len(self._ttrpc) or self._batcher.working):
            await asyncio.sleep(_LOOK_S)
        refused = ", ".join(f"{count} {operation}" for operation, count in self._service.refused.items())
        seconds = time.monotonic() - began
        _log.info("vAccel RPC agent stopped %.2f s after it was told to; refused calls: %s", seconds, refused or "none")

    def log_dropped(self) -> None:
        """Logs the calls that will get no answer, by session."""
        for session, peer in self._sessions.busy():
            models = sorted({resource.model.label for resource in session.resources.values()})
            _log.warning(
                "Dropping %d calls in session %d of %s, model %s", session.busy, session.id, peer, ", ".join(models) or "none"
            )
        others = self._service.active - sum(session.busy for session, _ in self._sessions.busy())
        if others > 0:
            _log.warning("Dropping %d calls outside of runs", others)

    def _all_answered(self, began: float) -> bool:
        """Whether no call runs, and none can be on its way from a client that was told."""
        return not self._service.active and (not self._sessions.announced or time.monotonic() - began > CROSSING_S)

    def _left(self) -> tuple[int, int]:
        return self._service.active, len(self._sessions.busy())
