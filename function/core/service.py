"""The one handler behind every way in: what was asked for -> what became of each text."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from function.core.classifier import Classified, Classifier
from function.core.request import Asked, Limits


class Slots:
    """So many of something at the same time, and no more."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = threading.BoundedSemaphore(most)
        self.taken = 0

    def enter(self) -> bool:
        """Whether there was room for one more."""
        entered = self._free.acquire(blocking=False)
        self.taken += entered
        return entered

    def leave(self) -> None:
        """One has ended."""
        self.taken -= 1
        self._free.release()


@dataclass(frozen=True)
class Service:
    """What the routes need.

    ``model``: name and digest, shown in answers. ``timeout``: seconds for one request. ``requests``, ``streams``: how many
    requests are answered, and how many streams of lines are open, at the same time. ``not_ready()``: why it cannot answer now, or None.
    ``agents()``: each agent's address, and whether it is reachable. ``phases``: seconds of the start, by phase. ``source``: of
    the events it answers with.
    """

    classifier: Classifier
    model: dict[str, str | None]
    limits: Limits
    timeout: float
    requests: Slots
    streams: Slots
    not_ready: Callable[[], str | None]
    agents: Callable[[], list[tuple[str, bool]]]
    phases: Mapping[str, float]
    log_texts: bool = False
    cors_origins: tuple[str, ...] = ()
    source: str = "/function"

    def classify(self, asked: Asked, metadata: Mapping[str, str] | None = None) -> Classified:
        """Raises `RpcError`, and `Unusable` for a bad text, unless each text was to get its own error."""
        classified = self.classifier.classify(asked.texts, self.timeout, asked.options, metadata)
        asked.refuse_bad(classified.items)
        return classified
