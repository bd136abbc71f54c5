"""Records every request, whether the application saw it or not: an id, a counter, its duration, a line in
the log."""

from __future__ import annotations

import logging
import re
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from function.core.service import ClassifyService

if TYPE_CHECKING:
    from function.core.classifier import Classification
    from function.telemetry.metrics import FunctionMetrics

_log = logging.getLogger("function.access")
_ID = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)
#: Routes that are requested so often that a line for each would hide the others.
_QUIET = ("/health/", "/metrics", "/page/state")


def request_id(sent: str | None) -> str:
    """The id that the client sent (``X-Request-Id``), if it is valid, or a new one."""
    return sent if sent and _ID.fullmatch(sent) else uuid.uuid4().hex


@dataclass(slots=True)
class Entry:
    """One request. ``route``: the pattern that it matched, or none. ``seconds``: from its head to the end of its answer.

    ``trace``: the ids of its trace, by their names in the log. ``done``: what was classified; ``texts``: the input texts.
    """

    method: str
    path: str
    route: str
    status: int
    id: str
    seconds: float
    trace: Mapping[str, str] = field(default_factory=dict)
    done: Classification | None = None
    texts: list[str] | None = None


class Access:
    """Counts and logs the requests of one service."""

    def __init__(self, service: ClassifyService) -> None:
        self._service = service
        self._making = threading.Lock()

    @cached_property
    def metrics(self) -> FunctionMetrics:
        """Created with the first finished request: a cold start does not wait for it."""
        with self._making:
            if "metrics" not in self.__dict__:
                from function.telemetry.metrics import FunctionMetrics

                self.__dict__["metrics"] = FunctionMetrics(self._service)
            return self.__dict__["metrics"]  # type: ignore[no-any-return]

    def exposition(self) -> tuple[str, bytes]:
        """The metrics for Prometheus: media type and text."""
        from function.telemetry.metrics import CONTENT_TYPE

        return CONTENT_TYPE, self.metrics.exposition()

    def record(self, entry: Entry) -> None:
        """Counts and logs a request that has been answered."""
        self.metrics.request(_counted_as(entry), entry.status, entry.seconds)
        if entry.done:
            self.metrics.classified(entry.done)
        if not entry.route.startswith(_QUIET):
            self._tell(entry)

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


def _counted_as(entry: Entry) -> str:
    """The route in metrics: what `/` shows is counted apart from what it classifies, and is much quicker."""
    return "GET /" if entry.route == "/" and entry.method != "POST" else entry.route
