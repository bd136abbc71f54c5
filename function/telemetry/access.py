"""Records every request, whether the application saw it or not: an id, a counter, its duration, a line in
the log."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from function.core.service import ClassifyService
from function.telemetry.deferred import DeferredMetrics

if TYPE_CHECKING:
    from function.core.classifier import Classification
    from function.telemetry.metrics import FunctionMetrics

_log = logging.getLogger("function.access")
_ID = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)
#: Routes that are requested so often that a line for each would hide the others.
_QUIET = ("/health/", "/metrics", "/page/state")


def request_id(sent: str | None) -> str:
    """The id that the client sent (``X-Request-Id``), if it is valid, or a new one."""
    return sent if sent and _ID.fullmatch(sent) else f"{random.getrandbits(128):032x}"


@dataclass(slots=True)
class Entry:
    """One request. ``route``: the pattern that it matched, or none. ``seconds``: from its arrival to its answer.

    A request has arrived with its last byte. One that the server refuses may have none: its time is that from its first byte.

    ``trace``: the ids of its trace, by their names in the log. ``done``: what was classified; ``texts``: the input texts and pairs.
    """

    method: str
    path: str
    route: str
    status: int
    id: str
    seconds: float
    trace: Mapping[str, str] = field(default_factory=dict)
    done: Classification | None = None
    texts: list[str | dict[str, str]] | None = None


class Access:
    """Counts and logs the requests of one service."""

    def __init__(self, service: ClassifyService) -> None:
        self._service = service
        self._deferred = DeferredMetrics(self._made)

    @property
    def metrics(self) -> FunctionMetrics:
        """The metrics, made now if they were not; see `DeferredMetrics`."""
        return self._deferred.get()

    def exposition(self) -> tuple[str, bytes]:
        """The metrics for Prometheus: media type and text."""
        from function.telemetry.metrics import CONTENT_TYPE

        return CONTENT_TYPE, self.metrics.exposition()

    def count(self, route: str, status: int, seconds: float) -> None:
        """Counts a request that gets no line of its own in the log."""
        self._deferred.observe(lambda metrics: metrics.request(route, status, seconds))

    def record(self, entry: Entry) -> None:
        """Counts and logs a request that has been answered."""
        self._deferred.observe(lambda metrics: _count(metrics, entry))
        if not entry.route.startswith(_QUIET):
            self._tell(entry)

    def _made(self) -> FunctionMetrics:
        from function.telemetry.metrics import FunctionMetrics

        return FunctionMetrics(self._service)

    def _tell(self, entry: Entry) -> None:
        level = logging.WARNING if entry.status >= 500 else logging.INFO
        if not _log.isEnabledFor(level):
            return
        told: dict[str, Any] = {"method": entry.method, "path": entry.path, "status": entry.status, "request_id": entry.id}
        told |= entry.trace
        told["ms"] = round(1000 * entry.seconds, 3)
        if entry.done:
            told["texts"] = len(entry.done.items)
        if entry.texts is not None and self._service.log_texts:
            told["input"] = entry.texts
        _log.log(level, "", extra={"fields": told})


def _count(metrics: FunctionMetrics, entry: Entry) -> None:
    metrics.request(_counted_as(entry), entry.status, entry.seconds)
    if entry.done:
        metrics.classified(entry.done)


def _counted_as(entry: Entry) -> str:
    """The route in metrics: what `/` shows is counted apart from what it classifies, and is much quicker."""
    return "GET /" if entry.route == "/" and entry.method != "POST" else entry.route
