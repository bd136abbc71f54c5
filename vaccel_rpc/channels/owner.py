"""Who reads a connection while no caller does: a thread of its own, or an event loop that awaits its replies."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from vaccel_rpc.channels import sockets
from vaccel_rpc.channels.handoff import ReaderHandoff

if TYPE_CHECKING:
    import asyncio

#: Seconds for which the owner leaves a connection alone whose callers have just read it.
_PAUSE_S = 0.05


class ConnectionOwner:
    """Reads a connection while no caller does, and so notices its end; an idle one takes no CPU time.

    `read_in` leaves the reading to an event loop, so that the replies that it awaits need no thread to
    pass them on; the thread waits for the end alone then. ``ended`` is called by the thread after the
    end, when nobody reads any more.
    """

    def __init__(self, sock: socket.socket, name: str, ended: Callable[[], None]) -> None:
        self._socket, self._name, self._ended = sock, name, ended
        self._stuck = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pause: asyncio.TimerHandle | None = None

    def start(self, handoff: ReaderHandoff) -> None:
        """Begins to read for the callers of ``handoff``."""
        self._handoff = handoff
        threading.Thread(target=self._look_after, name=self._name, daemon=True).start()

    def hurry(self) -> None:
        """Reads at once, though callers have just read: perhaps none of them waits for what comes."""
        if self._loop is None:
            self._stuck.set()
        elif self._pause:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._resume)

    def read_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Reads in ``loop`` from now on, in whose thread this is called."""
        if self._loop is not loop and self._handoff.ended is None:
            self._loop = loop
            loop.add_reader(self._socket, self._readable)

    def _look_after(self) -> None:
        poll, left_to_loop = sockets.poll_of(self._socket), False
        while self._handoff.ended is None:
            poll.poll()
            if self._loop and not left_to_loop:
                left_to_loop = True
                poll.modify(self._socket, select.POLLRDHUP)
            elif not self._handoff.read_if_idle():
                # Callers read. To wake up at each of their replies too would cost more than to notice the
                # end a little later.
                self._stuck.wait(_PAUSE_S)
                self._stuck.clear()
        # Not while a caller reads: another file could get the descriptor's number.
        self._handoff.wait_for_last_reader()
        if self._loop:
            self._leave(self._loop)
        self._ended()

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """Waits until the loop reads no more."""
        left = threading.Event()

        def leave() -> None:
            if self._pause:
                self._pause.cancel()
            self._loop = self._pause = None
            loop.remove_reader(self._socket)
            left.set()

        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(leave)
            while not left.wait(1) and not loop.is_closed():
                pass

    def _readable(self) -> None:
        if self._loop and not self._handoff.read_if_idle():
            self._loop.remove_reader(self._socket)
            self._pause = self._loop.call_later(_PAUSE_S, self._resume)

    def _resume(self) -> None:
        if self._loop and self._pause:
            self._pause.cancel()
            self._pause = None
            self._loop.add_reader(self._socket, self._readable)
