"""Who reads a connection: of the threads that wait for an answer, the first. No thread hands a lone caller its answer.

Who reads hands out the answers of the others, and passes the turn on when its own is there or its time is up. Nobody reads where nobody
waits: whoever owns the connection looks after it then (`ReaderHandoff.look`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from vaccel_rpc.errors import RpcError
from vaccel_rpc.frames import Frame, RefusedFrame

#: What a call ends with.
Outcome = Frame | RefusedFrame | RpcError


class PendingCall:
    """A call under way. One thread at a time waits for it."""

    __slots__ = ("bell", "deadline", "outcome", "stream")

    def __init__(self, stream: int, deadline: float | None) -> None:
        self.stream, self.deadline = stream, deadline
        self.outcome: Outcome | None = None
        #: Locked while its caller waits for another that reads: opened with the outcome, or with the turn.
        self.bell: threading.Lock | None = None

    def left(self) -> float | None:
        """Seconds to its deadline, at least 0; None where it has none."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


class ReaderHandoff:
    """The calls of a connection. ``receive(seconds)`` waits at most so long, and passes what came to `answer`, or calls `end`."""

    def __init__(self, receive: Callable[[float | None], None]) -> None:
        self._receive = receive
        self._lock = threading.Lock()
        self._calls: dict[int, PendingCall] = {}
        self._queue: dict[int, PendingCall] = {}
        self._reader: PendingCall | None = None
        self._owner = PendingCall(0, None)
        self.ended: RpcError | None = None

    def add(self, call: PendingCall) -> None:
        """One call more. Raises why the connection has ended, where it has."""
        with self._lock:
            if self.ended:
                raise self.ended
            self._calls[call.stream] = call

    def answer(self, stream: int, outcome: Outcome) -> None:
        """The call's outcome; of a call that nobody waits for any more it is dropped."""
        with self._lock:
            call = self._calls.pop(stream, None)
            if call is not None:
                self._finish(call, outcome)

    def wait(self, call: PendingCall) -> Outcome | None:
        """The call's outcome; at its deadline None, and it is forgotten."""
        if call.outcome is None:
            try:
                if self._has_turn(call):
                    self._read_for(call)
            finally:
                self.forget(call)
        return call.outcome

    def forget(self, call: PendingCall) -> None:
        """Nobody waits for the call any more; the turn passes on, where its caller has it."""
        with self._lock:
            self._calls.pop(call.stream, None)
            self._queue.pop(call.stream, None)
            if self._reader is call:
                self._reader = None
                if self._queue:
                    self._reader = self._queue.pop(next(iter(self._queue)))
                    _ring(self._reader)

    def look(self) -> bool:
        """Reads once without waiting, unless somebody reads; whether nobody did."""
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
        """Fails every call, those to come too; False where that has been done."""
        with self._lock:
            if self.ended:
                return False
            self.ended = error
            for call in [*self._calls.values(), *self._queue.values()]:
                self._finish(call, error)
            self._calls.clear()
        return True

    def wait_for_the_last(self) -> None:
        """After the end: returns when nobody reads any more."""
        self._has_turn(self._owner)
        self.forget(self._owner)

    def _read_for(self, call: PendingCall) -> None:
        while call.outcome is None and self.ended is None:
            left = call.left()
            self._receive(left)
            # What had come by its deadline was in time, whenever its caller asks for it.
            if left == 0:
                return

    def _finish(self, call: PendingCall, outcome: Outcome) -> None:
        call.outcome = outcome
        if self._queue.pop(call.stream, None):
            _ring(call)

    def _has_turn(self, call: PendingCall) -> bool:
        """Waits for the turn to read, or for the outcome, or for the deadline; whether it is the turn."""
        with self._lock:
            if call.outcome is not None:
                return False
            if self._reader is None:
                self._reader = call
                return True
            bell = call.bell = threading.Lock()
            bell.acquire()
            self._queue[call.stream] = call
        left = call.left()
        bell.acquire(timeout=-1 if left is None else left)
        return self._reader is call


def _ring(call: PendingCall) -> None:
    if call.bell is not None:
        call.bell.release()
