"""A bound on the bytes of messages that all connections together hold."""

from __future__ import annotations


class Budget:
    """Bytes of requests, and of responses that clients have not read, that the whole agent holds."""

    def __init__(self, limit: int) -> None:
        self._limit, self._held = limit, 0

    def reserve(self, count: int) -> bool:
        """Takes ``count`` bytes; False, and takes none, where fewer are left."""
        if self._held + count > self._limit:
            return False
        self._held += count
        return True

    def release(self, count: int) -> None:
        """Gives ``count`` bytes back."""
        self._held -= count
