"""Puts the parts together, listens, gets ready, serves, and drains on a signal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agent import cpus
from agent.batching.batcher import Batcher
from agent.batching.packing import BatchLimits
from agent.config import AgentConfig
from agent.engines.registry import EngineError, Engines
from agent.metrics import AgentMetrics
from agent.monitoring import MonitoringServer
from agent.service import RpcService
from agent.sessions import Sessions
from agent.store import variants
from agent.store.models import Store
from agent.transports.budget import Budget
from agent.transports.ttrpc import TtrpcConnection
from vaccel_common.modelfile import VariantOf
from vaccel_rpc.addresses import Address, is_alive, ttrpc_socket
from vaccel_rpc.errors import RpcError

_log = logging.getLogger("agent")

_SOCKET_MODE = 0o660


class StartError(Exception):
    """The agent cannot start; the message says why in one line."""


class Agent:
    """One agent, from listening to the end."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._metrics = AgentMetrics()
        self._ready = False
        self._ending = asyncio.Event()
        self._connections: set[TtrpcConnection] = set()
        self._budget = Budget(config.max_buffer)
        self._engines = Engines(config.plugins)
        self._store = Store(
            config.models,
            config.upload_policy,
            self._engines.load,
            max_models=config.max_models,
            max_uploads=config.max_uploads,
            suffixes=lambda: self._engines.suffixes,
            choose=None if config.precision == "exact" else self._variant,
            loaded=self._metrics.loaded,
        )
        self._metrics.models(lambda: self._store.models)
        self._sessions = Sessions(config.max_sessions, config.idle_session, self._store.release)
        self._servers: list[asyncio.Server] = []
        self._grpc: Any = None

    @property
    def busy(self) -> bool:
        """Whether a batch has outlived the grace."""
        return self._batcher.running > 0

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT. Raises `StartError`."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        if os.getpid() == 1:
            loop.add_signal_handler(signal.SIGCHLD, _reap)
            _reap()  # those whose signal came too early
        with contextlib.ExitStack() as stack:
            stack.callback(self._store.close)
            listening = stack.enter_context(self._bound())
            http = self._metrics_server(stack)
            await self._open_engines()
            self._service = RpcService(self._store, self._batcher, self._metrics)
            await self._listen(listening)
            if http:
                _log.info("Metrics and health on 'http://%s:%d'", *http.address)
            await self._get_ready_and_serve()

    async def _get_ready_and_serve(self) -> None:
        sweeper = asyncio.create_task(self._sweep())
        ending = asyncio.create_task(self._ending.wait())
        preload = asyncio.create_task(self._preload())
        await asyncio.wait([ending, preload], return_when=asyncio.FIRST_COMPLETED)
        if preload.done():
            preload.result()
            await self._set_ready(ready=True)
            _log.info("vAccel RPC agent ready")
            await ending
        preload.cancel()
        await self._drain()
        sweeper.cancel()

    async def _preload(self) -> None:
        try:
            for model in await self._store.preload(self._config.preload):
                _log.info("Preloaded model %s", model)
        except RpcError as error:
            raise StartError(f"--preload: {error.message}") from None

    async def _drain(self) -> None:
        """Not ready, no new calls; what runs finishes, within the grace."""
        _log.info("Shutting down")
        end = time.monotonic() + self._config.grace
        self._service.draining = True
        await self._set_ready(ready=False)
        for server in self._servers:
            server.close()
        while self._service.active and time.monotonic() < end:
            await asyncio.sleep(0.01)
        if self._service.active:
            _log.warning("%d calls did not finish within %g s", self._service.active, self._config.grace)
        self._batcher.close()
        if self._grpc:
            await self._grpc.stop(max(0.0, min(1.0, end - time.monotonic())))
        for connection in list(self._connections):
            connection.close()
        await asyncio.sleep(0)
        # A batch whose client has gone still runs, and a thread in torch when the interpreter ends takes the process down.
        while self._batcher.running and time.monotonic() < end:
            await asyncio.sleep(0.01)
        _log.info("vAccel RPC agent stopped")

    async def _set_ready(self, *, ready: bool) -> None:
        self._ready = ready
        if self._grpc:
            await self._grpc.set_ready(ready=ready)

    async def _open_engines(self) -> None:
        """Imports torch (seconds) while the loop goes on, and starts the workers."""
        threads = self._config.threads or cpus.available()
        try:
            await asyncio.to_thread(self._engines.open, self._config.device, threads)
        except EngineError as error:
            raise StartError(str(error)) from None
        self._batcher = Batcher(
            self._engines.workers,
            BatchLimits(self._config.max_batch),
            max_queue=self._config.max_queue,
            max_queue_tokens=self._config.max_queue_tokens,
            max_delay=self._config.max_delay,
            observe=self._metrics.batch,
        )
        _log.info("Models run on %s, %d workers, %d threads", self._engines, self._engines.workers, threads)
        for name, text, value in (
            ("vaccel_queue_requests", "Requests waiting; of a divided one each part", lambda: float(self._batcher.waiting)),
            ("vaccel_queue_texts", "Texts waiting", lambda: float(self._batcher.texts)),
            ("vaccel_queue_tokens", "Tokens waiting", lambda: float(self._batcher.tokens)),
            ("vaccel_queue_estimated_wait_seconds", "Time that one more request would wait", lambda: self._batcher.wait),
            ("vaccel_sessions", "Open sessions", lambda: float(len(self._sessions))),
            ("vaccel_resources", "Registered resources", lambda: float(self._sessions.resources)),
            (
                "vaccel_models_bytes",
                "Bytes of the files of models in memory",
                lambda: float(sum(model.size for model in self._store.models if model.loaded)),
            ),
            ("vaccel_connections", "Open ttrpc connections", lambda: float(len(self._connections))),
            ("vaccel_models_loaded", "Models in memory", lambda: float(sum(model.loaded for model in self._store.models))),
        ):
            self._metrics.gauge(name, text, value)

    def _variant(self, digest: str, found: Sequence[tuple[Path, VariantOf]]) -> Path | None:
        return variants.choose(digest, found, self._config.precision, self._engines.precisions)

    def _metrics_server(self, stack: contextlib.ExitStack) -> MonitoringServer | None:
        if self._config.metrics is None:
            return None
        try:
            server = MonitoringServer(self._config.metrics, self._metrics, lambda: self._ready)
        except OSError as error:
            host, port = self._config.metrics
            raise StartError(f"--metrics-address {host}:{port}: {error.strerror or error}") from None
        stack.callback(server.stop)
        return server

    @contextlib.contextmanager
    def _bound(self) -> Iterator[list[tuple[Address, socket.socket | None]]]:
        """Sockets for the ttrpc addresses, and unix paths freed of dead agents; the paths go with the agent."""
        bound: list[tuple[Address, socket.socket | None]] = []
        mine: list[Path] = []
        try:
            for address in self._config.addresses:
                if address.is_unix:
                    _free(address)
                    mine.append(Path(address.path))
                bound.append((address, None if address.is_grpc else _bind(address)))
            yield bound
        finally:
            for _, sock in bound:
                if sock:
                    sock.close()
            for path in mine[: len(bound)]:
                path.unlink(missing_ok=True)

    async def _listen(self, bound: list[tuple[Address, socket.socket | None]]) -> None:
        _log.info("vAccel RPC agent started")
        if any(address.is_grpc for address, _ in bound):
            from agent.transports.grpc import GrpcServer

            self._grpc = GrpcServer(self._service, self._sessions, self._config.max_message)
        actual = [await self._listen_one(address, sock) for address, sock in bound]
        if self._grpc:
            await self._grpc.start()
        for address in actual:
            if address.is_unix:
                Path(address.path).chmod(_SOCKET_MODE)
            _log.info("Listening on '%s', press Ctrl+C to exit", address)

    async def _listen_one(self, address: Address, sock: socket.socket | None) -> Address:
        if sock is None:
            try:
                bound: Address = self._grpc.bind(address, self._config.tls)
            except OSError as error:
                raise StartError(f"cannot listen on {address}: {error.strerror or error}") from None
            return bound
        self._servers.append(await asyncio.get_running_loop().create_server(self._connection, sock=sock, backlog=1024))
        return Address("tcp", address.host, sock.getsockname()[1]) if address.scheme == "tcp" else address

    def _connection(self) -> asyncio.BaseProtocol:
        if len(self._connections) >= self._config.max_connections:
            _log.warning("Refusing a connection: %d are open, the limit (--max-connections)", len(self._connections))
            self._metrics.rejected("connections")
            return _Refusing()
        return TtrpcConnection(self._service, self._sessions, self._budget, self._config.max_message, self._connections)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self._config.idle_session / 2))
            self._sessions.expire()
            for connection in list(self._connections):
                connection.close_if_stalled()


class _Refusing(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        transport.abort()


def _free(address: Address) -> None:
    """Removes the socket file of a dead agent."""
    path = Path(address.path)
    if path.exists() and not path.is_socket():
        raise StartError(f"cannot listen on {address}: the file is there and is no socket")
    if is_alive(path):
        raise StartError(f"cannot listen on {address}: another process listens there; choose another --server-address")
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def _bind(address: Address) -> socket.socket:
    try:
        sock, place = ttrpc_socket(address)
        if not address.is_unix:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        mask = os.umask(0o117)
        try:
            sock.bind(place)
            sock.listen(1024)
        finally:
            os.umask(mask)
    except OSError as error:
        hint = "; choose another --server-address" if error.errno == 98 else ""
        raise StartError(f"cannot listen on {address}: {error.strerror or error}{hint}") from None
    sock.setblocking(False)
    return sock


def _reap() -> None:
    """As process 1 the agent is parent of every orphan."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def serve(config: AgentConfig) -> None:
    """Runs an agent until a signal ends it. Raises `StartError`."""
    agent = Agent(config)
    asyncio.run(agent.run())
    if agent.busy:
        logging.shutdown()
        os._exit(0)
