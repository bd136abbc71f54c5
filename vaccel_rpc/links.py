"""A connection to an agent with a session and the registered model."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vaccel_rpc.channels import CLOSED
from vaccel_rpc.client import PendingResult, RunResult, VaccelClient
from vaccel_rpc.errors import RpcError
from vaccel_rpc.pool.health import ANSWER_S
from vaccel_rpc.pool.runs import Inputs
from vaccel_rpc.registering import Registered

if TYPE_CHECKING:
    import asyncio

_log = logging.getLogger("vaccel_rpc")

#: Seconds for an agent to load the model.
_LOAD_S = 300.0


@dataclass(eq=False)
class AgentLink:
    """A connection to an agent, with a session and the model.

    ``registering_ns``: how long registering it took. ``warm``: whether the model is in the agent's
    memory, as far as is known.
    """

    client: VaccelClient
    session: int
    model: Registered
    registering_ns: int
    warm: bool = True

    @property
    def how(self) -> str:
        """The dialect, and how the model was registered, for the log."""
        return f"the agent speaks dialect {self.client.version}; model {self.model.how}"

    @property
    def run_method(self) -> tuple[str, str]:
        """Service and method of its runs, by their names on the wire."""
        return self.client.run_method

    @property
    def closed(self) -> RpcError | None:
        """Why the connection ended; None while it is open."""
        return self.client.channel.closed

    @property
    def draining(self) -> bool:
        """Whether the agent has said that it shuts down."""
        return self.client.channel.draining

    @property
    def running(self) -> int:
        """Calls without a reply."""
        return self.client.channel.running

    def close(self, why: str = CLOSED) -> None:
        """Ends the connection; calls that wait fail with `Unavailable`, which says ``why``."""
        self.client.close(why)

    def finish(self) -> None:
        """Ends the session, which over gRPC outlives the connection, and the connection."""
        if self.closed is None:
            with suppress(RpcError):
                self.client.destroy_session(self.session, ANSWER_S)
        self.close()

    def start_run(
        self,
        inputs: Inputs,
        outputs: int,
        timeout: float | None,
        metadata: Mapping[str, str],
        done: Callable[[], None] | None = None,
    ) -> PendingResult[RunResult]:
        """Sends a run without waiting for it; ``done``: see `vaccel_rpc.channels.Channel.start`. Raises `RpcError`."""
        return self.client.start_run(self.session, self.model.resource, inputs, outputs, timeout, metadata, done)

    def read_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Has ``loop`` read the results; see `vaccel_rpc.channels.Channel`."""
        self.client.channel.read_in(loop)

    def load(self) -> None:
        """Has the agent load the model, in a thread of its own; until then the link is not ``warm``."""
        self.warm = False
        threading.Thread(target=self._load, name="loading model", daemon=True).start()

    def _load(self) -> None:
        try:
            self.client.load(self.session, self.model.resource, _LOAD_S)
        except RpcError as error:
            # A run will say so, too.
            _log.info("an agent did not load the model: %s", error.message)
        self.warm = True

    def ping(self, timeout: float) -> None:
        """A call that any agent answers at once; it may take ``timeout`` seconds. Raises `RpcError`."""
        self.client.update_session(self.session, 0, timeout)
