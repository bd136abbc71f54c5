"""The thread in which models are loaded, one after the other, and what it loads now."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from agent.store.loader import give_back
from agent.store.model import Form, StoredModel
from vaccel_rpc.errors import Internal, RpcError, Unavailable


@dataclass(eq=False, slots=True)
class Loading:
    """A model that is being loaded.

    ``at``: when that began, in monotonic seconds. ``given_up``: who waits for it has been answered
    without it.
    """

    model: str
    at: float
    given_up: bool = False

    def __str__(self) -> str:
        return f"model {self.model} has been loading"


class LoadingThread:
    """Loads models by ``load``, which is called in one thread. The methods are for the event loop."""

    def __init__(self, load: Callable[[StoredModel], Form]) -> None:
        self._load = load
        self._thread = ThreadPoolExecutor(1, "load")
        self._now: Loading | None = None
        #: Who waits, each with the model for which it does.
        self._waiting: dict[asyncio.Future[RpcError], StoredModel] = {}
        self._refusal: str | None = None

    @property
    def now(self) -> Loading | None:
        """What is being loaded."""
        return self._now

    async def form(self, model: StoredModel) -> Form:
        """What runs for the model, loaded now. Raises what ``load`` raises, and what `give_up` answers."""
        if self._refusal:
            raise Unavailable(self._refusal)
        loop = asyncio.get_running_loop()
        given_up: asyncio.Future[RpcError] = loop.create_future()
        self._waiting[given_up] = model
        loading = loop.run_in_executor(self._thread, self._run, model)
        try:
            await asyncio.wait((loading, given_up), return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._waiting[given_up]
            # Without an effect on one that has ended.
            loading.cancel()
        if given_up.done():
            raise given_up.result()
        return loading.result()

    def give_up(self, loading: Loading, reason: str) -> None:
        """Answers everybody who waits, and loads nothing from now on.

        Who waits for the model that does not load gets `Internal`, which is not tried with another
        agent; who waits behind it gets `Unavailable`.
        """
        loading.given_up, self._refusal = True, reason
        for waiter, model in self._waiting.items():
            waiter.set_result(Internal(reason, errno=errno.ETIME) if str(model) == loading.model else Unavailable(reason))

    def give_back(self) -> None:
        """Gives the memory of programs that are not used any more back to the system, before the next model is loaded."""
        self._thread.submit(give_back)

    def close(self, *, wait: bool) -> None:
        """Loads nothing more; ``wait``: until what is being loaded is."""
        self._thread.shutdown(wait, cancel_futures=True)

    def _run(self, model: StoredModel) -> Form:
        self._now = Loading(str(model), time.monotonic())
        try:
            return self._load(model)
        finally:
            self._now = None
