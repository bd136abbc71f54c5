"""The metrics' object, made a moment after the first request.

prometheus_client takes as long to import as the model takes for some texts. A cold start's first
requests are its probes, and right behind them comes the request that is held: neither competes with
the import. What is observed before is kept and counted then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from function.telemetry.metrics import FunctionMetrics

#: Seconds from the first observation on, and the number of observations that are kept at most.
DELAY_S, MAX_KEPT = 1.0, 1000

Observation = Callable[["FunctionMetrics"], None]


class DeferredMetrics:
    """Calls ``make`` a second after the first observation, or when the metrics are first asked for."""

    def __init__(self, make: Callable[[], FunctionMetrics]) -> None:
        self._make = make
        self._metrics: FunctionMetrics | None = None
        self._kept: list[Observation] = []
        self._lock = threading.Lock()

    def observe(self, observation: Observation) -> None:
        """Calls ``observation`` with the metrics, now or once they are made."""
        if self._metrics is not None or not self._keep(observation):
            observation(self.get())

    def get(self) -> FunctionMetrics:
        """The metrics, with all that was observed so far."""
        if self._metrics is None:
            with self._lock:
                if self._metrics is None:
                    metrics = self._make()
                    for observation in self._kept:
                        observation(metrics)
                    self._kept.clear()
                    self._metrics = metrics
        return self._metrics

    def _keep(self, observation: Observation) -> bool:
        """Whether the observation waits for the metrics."""
        with self._lock:
            if self._metrics is not None or len(self._kept) >= MAX_KEPT:
                return False
            self._kept.append(observation)
            if len(self._kept) == 1:
                timer = threading.Timer(DELAY_S, self.get)
                timer.daemon = True
                timer.start()
            return True
