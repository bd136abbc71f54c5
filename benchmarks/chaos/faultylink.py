"""A link between the function and an agent that can be made bad: a proxy of bytes."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Literal

#: What becomes of bytes: forwarded; after a pause; swallowed; forwarded up to a point within a
#: frame, where the connection is reset.
Mode = Literal["pass", "delay", "drop", "cut"]
#: A TCP host and port, or the path of a unix socket.
Place = tuple[str, int] | str

_CUT_BYTES = 2000
_RESET = struct.pack("ii", 1, 0)


class FaultyLink:
    """Listens at ``front`` and forwards each connection to ``back``. ``cuts``: connections that it cut."""

    def __init__(self, front: Place, back: Place, seed: int) -> None:
        self._back, self._random = back, random.Random(seed)
        self._mode: Mode = "pass"
        self._delay = 0.0
        self._ended = False
        self._open: set[socket.socket] = set()
        #: Connections that lost bytes, which cannot go on.
        self._broken: set[socket.socket] = set()
        self.cuts = 0
        self._listener = _listening(front)
        threading.Thread(target=self._accept, name="faulty link", daemon=True).start()

    def become(self, mode: Mode, delay: float = 0.0) -> None:
        """Treats bytes this way from now on; ``delay`` in seconds. Connections that lost bytes are reset."""
        self._mode, self._delay = mode, delay
        if mode == "pass":
            for each in list(self._broken):
                _reset(each)
            self._broken.clear()

    def close(self) -> None:
        """Ends all connections, and listens no longer."""
        self._ended = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._open):
            _reset(each)

    def _accept(self) -> None:
        while not self._ended:
            try:
                front, _ = self._listener.accept()
            except OSError:
                return
            back = _socket_for(self._back)
            try:
                back.connect(self._back)
            except OSError:
                _reset(front)
                back.close()
                continue
            for each in (front, back):
                if each.family == socket.AF_INET:
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open |= {front, back}
            budget = [self._random.randint(1, _CUT_BYTES)]
            for source, sink in ((front, back), (back, front)):
                threading.Thread(target=self._pump, args=(source, sink, budget), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, budget: list[int]) -> None:
        """Forwards one direction; ``budget``: bytes of both until the connection is cut, when links cut."""
        treat: dict[Mode, Callable[[bytes], bytes]] = {
            "pass": lambda data: data,
            "delay": self._late,
            "drop": lambda _: b"",
            "cut": lambda data: data[: max(0, budget[0])],
        }
        try:
            while data := source.recv(65536):
                mode = self._mode
                out = treat[mode](data)
                if mode == "drop":
                    self._broken |= {source, sink}
                sink.sendall(out)
                if mode == "cut":
                    budget[0] -= len(out)
                    if budget[0] <= 0:
                        self.cuts += 1
                        break
            else:
                sink.shutdown(socket.SHUT_WR)
                return
        except OSError:
            pass
        for each in (source, sink):
            _reset(each)
            self._open.discard(each)

    def _late(self, data: bytes) -> bytes:
        time.sleep(self._delay)
        return data


def _socket_for(place: Place) -> socket.socket:
    return socket.socket(socket.AF_UNIX if isinstance(place, str) else socket.AF_INET)


def _listening(place: Place) -> socket.socket:
    listener = _socket_for(place)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(place)
    listener.listen(64)
    return listener


def _reset(each: socket.socket) -> None:
    """Ends a connection at once, so that both its ends know."""
    with contextlib.suppress(OSError):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
