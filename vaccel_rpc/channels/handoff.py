"""Which of the threads that wait for a reply reads the connection: a hand-off between callers.

This is the leader/followers pattern. The first caller reads, completes the calls whose replies it
receives, and hands the reading on when its own reply is there or its deadline has passed. So a lone
caller needs no other thread to wake it. While no caller waits, nobody reads: the connection's owner
then looks after it (`ReaderHandoff.read_if_idle`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from vaccel_rpc.errors import RpcError
from vaccel_rpc.frames import Frame, RefusedFrame

#: What a call ends with.
Outcome = Frame | RefusedFrame | RpcError

#: In place of a stream's number, which is odd: the owner, and what waits for the last reader.
_OWNER, _LAST = 0, -2


class PendingCall:
    """A call without a reply yet.

    One thread at a time waits for it, or none does and ``done`` is called with its outcome, from any
    thread; it must return at once. ``deadline``: monotonic seconds. ``arrived``: when the outcome was
    there, in nanoseconds of the epoch.
    """

    __slots__ = ("arrived", "deadline", "done", "outcome", "stream", "wakeup")

    def __init__(self, stream: int, deadline: float | None, done: Callable[[], None] | None = None) -> None:
        self.stream, self.deadline, self.done = stream, deadline, done
        self.outcome: Outcome | None = None
        self.arrived: int | None = None
        #: Locked while its caller waits for another one that reads; released with the outcome, or
        #: when its caller is to read.
        self.wakeup: threading.Lock | None = None

    def left(self) -> float | None:
        """Seconds to its deadline, at least 0; None where it has none."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def wake(self) -> None:
        """Wakes its caller, if it waits for another one."""
        if self.wakeup is not None:
            self.wakeup.release()


class ReaderHandoff:
    """The pending calls of a connection, and which caller reads it.

    ``receive(seconds)`` waits at most so long for bytes. It passes what it received to `complete`,
    or calls `end`. ``unread`` is called when nobody reads any more, though calls are pending for
    which no thread waits: the owner is to read at once.
    """

    def __init__(self, receive: Callable[[float | None], None], unread: Callable[[], None]) -> None:
        self._receive, self._unread = receive, unread
        self._lock = threading.Lock()
        self._calls: dict[int, PendingCall] = {}
        #: Calls whose callers wait for the reader, in their order.
        self._followers: dict[int, PendingCall] = {}
        self._reader: PendingCall | None = None
        self._owner = PendingCall(_OWNER, None)
        self.ended: RpcError | None = None

    @property
    def pending(self) -> int:
        """Calls without an outcome."""
        return len(self._calls)

    def add(self, call: PendingCall) -> None:
        """Adds a call that is about to be sent.

        Raises the reason where the connection has ended.
        """
        with self._lock:
            if self.ended:
                raise self.ended
            self._calls[call.stream] = call

    def complete(self, stream: int, outcome: Outcome) -> None:
        """Sets the outcome of a stream's call. It is dropped where nobody waits for it any more."""
        with self._lock:
            call = self._calls.pop(stream, None)
            if call is not None:
                self._finish(call, outcome)

    def wait(self, call: PendingCall) -> Outcome | None:
        """The call's outcome; None at its deadline, after which the call is forgotten."""
        if call.outcome is None:
            try:
                if self._becomes_reader(call):
                    self._read_for(call)
            finally:
                self.forget(call)
        return call.outcome

    def forget(self, call: PendingCall) -> None:
        """Removes a call for which nobody waits any more.

        If its caller reads, another one takes over.
        """
        with self._lock:
            self._calls.pop(call.stream, None)
            self._followers.pop(call.stream, None)
            if self._reader is call:
                self._reader = None
                if self._followers:
                    self._reader = self._followers.pop(next(iter(self._followers)))
                    self._reader.wake()
                elif self._calls and call is not self._owner:
                    self._unread()

    def read_if_idle(self) -> bool:
        """Reads once without waiting; False, without reading, where a caller reads."""
        with self._lock:
            if self._reader is not None:
                return False
            self._reader = self._owner
        try:
            self._receive(0)
        finally:
            self.forget(self._owner)
        return True

    def end(self, error: RpcError) -> bool:
        """Fails every call, and those to come; False where the connection had ended already."""
        with self._lock:
            if self.ended:
                return False
            self.ended = error
            for call in [*self._calls.values(), *self._followers.values()]:
                self._finish(call, error)
            self._calls.clear()
        return True

    def wait_for_last_reader(self) -> None:
        """After the end: returns when no caller reads any more."""
        # Not as the owner, for which another thread may be reading: it would forget this one's turn with its own.
        last = PendingCall(_LAST, None)
        self._becomes_reader(last)
        self.forget(last)

    def _read_for(self, call: PendingCall) -> None:
        while call.outcome is None and self.ended is None:
            left = call.left()
            self._receive(left)
            # After one read past the deadline: a reply that arrived in time counts, even where its
            # caller waits for it only later.
            if left == 0:
                return

    def _finish(self, call: PendingCall, outcome: Outcome) -> None:
        call.outcome, call.arrived = outcome, time.time_ns()
        if call.done is not None:
            call.done()
        if self._followers.pop(call.stream, None):
            call.wake()

    def _becomes_reader(self, call: PendingCall) -> bool:
        """Waits until the caller is to read, or has its outcome, or its deadline has passed."""
        with self._lock:
            if call.outcome is not None:
                return False
            if self._reader is None:
                self._reader = call
                return True
            wakeup = call.wakeup = threading.Lock()
            wakeup.acquire()
            self._followers[call.stream] = call
        left = call.left()
        wakeup.acquire(timeout=-1 if left is None else left)
        return self._reader is call
