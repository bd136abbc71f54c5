"""The thread in which models are loaded, under a watchdog."""

from __future__ import annotations

import asyncio
import threading

import pytest

from agent.store.model import StoredModel
from agent.watchdog import HUNG
from tests.support.watched import MAX_LOAD, Watched, failure
from vaccel_rpc.errors import Internal, Unavailable


def stored(name: str) -> StoredModel:
    """A model of the store, whose file nobody reads."""
    return StoredModel(name, name, None, uploaded=False, variant=None)


async def is_loaded(watched: Watched, name: str) -> None:
    """Waits until that model is being loaded."""
    while not (watched.loading.now and name in str(watched.loading.now)):
        await asyncio.sleep(0.001)


def test_a_load_that_takes_too_long_is_an_illness() -> None:
    """Not at the limit, nor several loads that take longer together; what waits for it is answered for good, what waits behind it
    may be loaded elsewhere.
    """

    async def main() -> None:
        watched = Watched()
        names = ("a", "b", "never", "behind")
        watched.gates = {name: threading.Event() for name in names}
        loads = {name: asyncio.create_task(watched.loading.form(stored(name))) for name in names}
        for name in ("a", "b"):
            await is_loaded(watched, name)
            watched.pass_time(MAX_LOAD)
            watched.gates[name].set()
            assert (await loads[name]).name == name
        await is_loaded(watched, "never")
        watched.pass_time(MAX_LOAD + 1)
        assert watched.watchdog.illness is None
        watched.pass_time(1)
        assert watched.watchdog.illness
        assert watched.watchdog.illness.reason == (
            "model never (sha256:never) has been loading for 21.0 s, longer than 20 s (--max-load-s)"
        )
        assert watched.watchdog.illness.exit_code == HUNG
        assert isinstance(await failure(loads["never"]), Internal)
        assert isinstance(await failure(loads["behind"]), Unavailable)
        with pytest.raises(Unavailable, match="--max-load-s"):
            await watched.loading.form(stored("new"))
        watched.pass_time(5)
        assert watched.calls == 1
        watched.gates["never"].set()
        watched.loading.close(wait=True)
        watched.batcher.close()

    asyncio.run(main())
