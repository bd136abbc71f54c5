"""Clients that go on while a test does something to what they use."""

from __future__ import annotations

import threading
from collections.abc import Callable

from loadkit.threads import ClientThreads


class ClientLoops(ClientThreads):
    """Calls ``work(number)`` again and again for each of so many clients, as long as its context lasts.

    ``pause``: seconds between a client's calls. Without one they take every core, and what starts meanwhile starts slowly.
    """

    def __init__(self, count: int, work: Callable[[int], None], *, pause: float = 0) -> None:
        def loop(number: int, end: threading.Event) -> None:
            while not end.is_set():
                work(number)
                end.wait(pause)

        super().__init__(count, loop)
