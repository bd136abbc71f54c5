"""One agent, from its start to its end: `Agent.run` is the order in which things happen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent import cpus
from agent.admin import AdminServer
from agent.batching.batcher import Batcher
from agent.config import AgentConfig
from agent.ending import ProcessEnd
from agent.engines.contract import Program
from agent.engines.registry import EngineError, Engines
from agent.idleprobe import IdleProbe
from agent.imaging.decoding import ImageLimits
from agent.imaging.reader import ImageReader
from agent.leaving import Leaving
from agent.listening import ListenError, Listeners
from agent.metrics import AgentMetrics
from agent.monitoring import MonitoringServer
from agent.packing import BatchLimits
from agent.service import RpcService
from agent.sessions import Sessions
from agent.store import variants
from agent.store.aliases import Aliases
from agent.store.folder import StoreFolder
from agent.store.models import Store
from agent.store.repository import Repository
from agent.store.room import Room
from agent.transports.ttrpc_server import TtrpcServer
from agent.watchdog import Watchdog
from agent.webserver import WebServer
from vaccel_common import process
from vaccel_common.modelfile import VariantOf
from vaccel_rpc.addresses import Address
from vaccel_rpc.errors import RpcError

if TYPE_CHECKING:
    from agent.transports.grpc import GrpcServer

_log = logging.getLogger("agent")


class StartError(Exception):
    """The agent cannot start; the message says why in one line."""


class Agent:
    """One agent. What `run` starts is closed in the opposite order."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._threads = config.threads or cpus.available()
        self._ending = asyncio.Event()
        self._ready = False
        self._signals = 0
        self._leaving: Leaving | None = None
        self._watchdog = Watchdog(config.max_run, config.max_load, config.grace, self._ending.set)
        self._metrics = AgentMetrics()
        self._listeners = Listeners(config.addresses)
        self._engines = Engines(config.plugins, upload_memory=config.max_upload_memory)
        self._store = Store(
            StoreFolder(config.store, lambda: self._engines.suffixes),
            config.upload_policy,
            self._watchdog.loads(self._engines.load),
            partial(self._engines.check_upload, is_data=config.upload_policy == "data"),
            room=Room(
                models=config.max_models, memory=config.max_model_memory, idle=config.idle_model, uploads=config.max_uploads
            ),
            referred=self._engines.external_files,
            load_upload=self._watchdog.loads(self._engines.load_upload),
            memory_used=self._engines.memory_used,
            choose=self._candidates,
            halves=self._halves,
            on_load=self._metrics.loaded,
            on_unload=self._metrics.unloaded,
        )
        self._end = ProcessEnd(self._listeners, self._store)
        self._aliases = Aliases(self._store, config.alias_file, self._metrics)
        self._sessions = Sessions(config.max_sessions, config.idle_session, self._aliases.release)
        # Twice the rows of a batch: one runs, and one is being read.
        limits = ImageLimits(config.max_image, config.max_image_pixels, in_flight=2 * config.max_batch)
        self._images = ImageReader(limits, self._threads)
        self._grpc: GrpcServer | None = None

    @property
    def exit_code(self) -> int:
        """0, or the code that says why the agent was ill."""
        return self._watchdog.illness.exit_code if self._watchdog.illness else 0

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT. Raises `StartError`."""
        self._handle_signals()
        with contextlib.ExitStack() as closing:
            try:
                await self._start(closing)
            except (ListenError, EngineError) as error:
                raise StartError(str(error)) from None
            probe = IdleProbe(self._batcher, self._config.idle_probe, self._probed)
            works = self._sweep(), self._aliases.watch(), self._watchdog.watch(probe)
            background = [asyncio.create_task(work) for work in works]
            await self._get_ready()
            await self._ending.wait()
            await self._leave()
            for task in background:
                task.cancel()

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        if os.getpid() == 1:
            loop.add_signal_handler(signal.SIGCHLD, process.reap_children)
            process.reap_children()  # those whose signal came too early

    def _signalled(self, number: signal.Signals) -> None:
        """The first signal ends the agent within the grace period, and a second one at once."""
        if not self._signals:
            self._signals = 1
            self._ending.set()
            return
        if self._leaving:
            self._leaving.log_dropped()
        self._end.at_once(f"{number.name} is the second signal", 128 + number)

    async def _start(self, closing: contextlib.ExitStack) -> None:
        """Binds, loads the engines, and answers clients from then on."""
        if ignored := self._config.vaccel_config.ignored:
            _log.warning("--vaccel-config: no effect on this agent: %s", ", ".join(ignored))
        closing.callback(lambda: self._store.close(wait=not self._watchdog.illness))
        closing.callback(self._images.close)
        closing.callback(self._listeners.close)
        self._listeners.bind()
        monitoring = _served("--metrics-address", self._config.metrics, self._monitoring, closing)
        await self._open_engines()
        # From now on it is known which files of the store are models.
        admin = _served("--admin-address", self._config.admin, self._admin, closing)
        await self._aliases.refresh()
        service = self._service = RpcService(
            self._store,
            self._aliases,
            self._batcher,
            self._metrics,
            self._images,
            self._config.labels or (),
            max_message=self._config.max_message,
            profiled=self._config.vaccel_config.profiled,
        )
        self._ttrpc = TtrpcServer(
            service,
            self._sessions,
            max_message=self._config.max_message,
            max_buffer=self._config.max_buffer,
            max_connections=self._config.max_connections,
        )
        self._metrics.observe(self._batcher, self._sessions, self._store, self._aliases, self._ttrpc)
        _log.info("vAccel RPC agent started")
        for address in await self._listen():
            _log.info("Listening on '%s', press Ctrl+C to exit", address)
        if monitoring:
            _log.info("Metrics and health on 'http://%s:%d'", *monitoring.address)
        if admin:
            _log.info("Models are listed on 'http://%s:%d/v2/repository/index'", *admin.address)

    def _monitoring(self, bind: tuple[str, int]) -> MonitoringServer:
        return MonitoringServer(bind, self._metrics, self._unready, lambda: self._watchdog.problem)

    def _admin(self, bind: tuple[str, int]) -> AdminServer:
        repository, loop = Repository(self._store, self._aliases), asyncio.get_running_loop()
        return AdminServer(bind, repository, loop, writable=self._config.admin_writable, max_load=self._config.max_load)

    async def _open_engines(self) -> None:
        """Imports the engines in a thread, which takes seconds, and starts the workers."""
        await asyncio.to_thread(self._engines.open, self._config.device, self._threads)
        # In the thread that will load models too, which is there already; others are started by this one.
        await asyncio.to_thread(self._engines.prepare_thread)
        self._engines.prepare_thread()
        self._batcher = Batcher(
            self._engines.workers,
            BatchLimits(self._config.max_batch),
            max_queue=self._config.max_queue,
            max_queue_tokens=self._config.max_queue_tokens,
            max_delay=self._config.max_delay,
            observe=self._metrics.batch,
            on_lost=self._watchdog.lost,
        )
        self._watchdog.begin(self._batcher, self._store.loading)
        _log.info("Models run on %s, %d workers, %d threads", self._engines, self._engines.workers, self._threads)

    async def _listen(self) -> list[Address]:
        if any(address.is_grpc for address in self._config.addresses):
            from agent.transports.grpc import GrpcServer

            self._grpc = GrpcServer(self._service, self._sessions, self._config.max_message, self._config.tls)
        addresses = await self._listeners.serve(self._ttrpc.accept, self._grpc.bind if self._grpc else None)
        if self._grpc:
            await self._grpc.start()
        self._listeners.restrict()
        return addresses

    async def _get_ready(self) -> None:
        """Loads the models that are to be loaded before the agent is ready, unless it is to end."""
        preload = asyncio.create_task(self._preload())
        ending = asyncio.create_task(self._ending.wait())
        await asyncio.wait([ending, preload], return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if self._watchdog.illness or not preload.done():
            preload.cancel()
            await asyncio.gather(preload, return_exceptions=True)
            return
        preload.result()
        await self._set_ready(ready=True)
        _log.info("vAccel RPC agent ready")

    async def _preload(self) -> None:
        try:
            aliases = await self._aliases.preload(self._config.preload)
            names = {alias.name for alias in aliases}
            models = await self._store.preload([name for name in self._config.preload if name not in names])
            for preloaded in (*aliases, *models):
                _log.info("Preloaded model %s", preloaded)
        except RpcError as error:
            raise StartError(f"--preload: {error.message}") from None

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self._config.idle_session / 2))
            self._sessions.expire()
            self._ttrpc.close_stalled()

    async def _leave(self) -> None:
        end = time.monotonic() + self._config.grace
        not_ready = partial(self._set_ready, ready=False)
        self._leaving = Leaving(self._service, self._sessions, self._batcher, self._listeners, self._ttrpc, self._grpc, not_ready)
        if illness := self._watchdog.illness:
            await self._leaving.run(self._config.grace, f"the agent is ill: {illness.reason}")
        else:
            await self._leaving.run(self._config.grace)
        self._end.later(end, self.exit_code)

    async def _set_ready(self, *, ready: bool) -> None:
        self._ready = ready
        if self._grpc:
            await self._grpc.set_ready(ready=ready)

    def _unready(self) -> str | None:
        not_yet = None if self._ready else "shutting down" if self._ending.is_set() else "starting"
        return self._watchdog.problem or not_yet

    def _probed(self) -> tuple[Program, str] | None:
        """What an idle probe runs: the model that was used last, of those that say what they take."""
        forms = [(model.used, model.form.program, model.label) for model in self._store.models if model.form]
        usable = [form for form in forms if form[1].signature]
        return max(usable, key=lambda form: form[0])[1:] if usable else None

    def _halves(self, path: Path) -> dict[str, Callable[[Path], Program]]:
        return {precision: self._watchdog.loads(load) for precision, load in self._engines.halves(path).items()}

    def _candidates(self, digest: str, files: Sequence[tuple[Path, VariantOf]]) -> variants.Candidates:
        return variants.choose(digest, files, self._config.precision, self._engines.computes)


def _served(
    flag: str, bind: tuple[str, int] | None, server: Callable[[tuple[str, int]], WebServer], closing: contextlib.ExitStack
) -> WebServer | None:
    """The server on the address that an option names, until ``closing``; None without one. Raises `StartError`."""
    if bind is None:
        return None
    try:
        started = server(bind)
    except OSError as error:
        raise StartError(f"{flag} {bind[0]}:{bind[1]}: {error.strerror or error}") from None
    closing.callback(started.stop)
    return started


def serve(config: AgentConfig) -> int:
    """Runs an agent until a signal ends it, or until it is ill; the exit code. Raises `StartError`."""
    try:
        agent = Agent(config)
    except OSError as error:
        raise StartError(f"there is no directory for uploads (TMPDIR): {error.strerror}") from None
    asyncio.run(agent.run())
    return agent.exit_code
