"""All ttrpc connections of an agent: how many may be open, and when they end."""

from __future__ import annotations

import asyncio
import logging

from agent.service import RpcService
from agent.sessions import Sessions
from agent.transports.budget import Budget
from agent.transports.ttrpc import TtrpcConnection
from vaccel_rpc import draining

_log = logging.getLogger("agent")


class TtrpcServer:
    """The open connections.

    ``max_message``: bytes of a message; ``max_buffer``: of the requests of all connections, and of
    responses that their clients have not read.
    """

    def __init__(
        self, service: RpcService, sessions: Sessions, *, max_message: int, max_buffer: int, max_connections: int
    ) -> None:
        self._service, self._sessions = service, sessions
        self._max_message, self._max_connections = max_message, max_connections
        self._budget = Budget(max_buffer)
        self._connections: set[TtrpcConnection] = set()

    def __len__(self) -> int:
        return len(self._connections)

    def accept(self) -> asyncio.BaseProtocol:
        """The protocol of one more connection; at the limit one that closes it."""
        if len(self) >= self._max_connections:
            _log.warning("Refusing a connection: %d are open, the limit (--max-connections)", len(self))
            self._service.metrics.rejected("connections")
            return _RefusedConnection()
        return TtrpcConnection(self._service, self._sessions, self._budget, self._max_message, self._connections)

    def close_stalled(self) -> None:
        """Ends the connections whose clients stopped in the middle of a frame, or do not read their
        answers.
        """
        for connection in list(self._connections):
            connection.close_if_stalled()

    def tell(self) -> None:
        """Says that the agent shuts down, to each client that understands it."""
        for connection in self._connections:
            connection.tell(draining.FRAME)

    def close(self) -> None:
        """Ends every connection after what is written has been sent."""
        for connection in list(self._connections):
            connection.close()


class _RefusedConnection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()
