"""The one handler behind every way in: a request's texts in, what became of each text out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from function.core.classifier import Classification, Classifier
from function.core.request import ClassifyRequest, RequestLimits
from vaccel_common.about import About
from vaccel_common.modelfile import ProgramKind
from vaccel_rpc.history import AgentState
from vaccel_rpc.pool.figures import PoolFigures


class CountedSemaphore:
    """A semaphore that never blocks, and whose state can be read. ``limit``: how many may hold it at the same time."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._semaphore = threading.BoundedSemaphore(limit)

    def acquire(self) -> bool:
        """Whether the semaphore could be acquired."""
        acquired = self._semaphore.acquire(blocking=False)
        self.held += acquired
        return acquired

    def release(self) -> None:
        """Gives up what `acquire` took."""
        self.held -= 1
        self._semaphore.release()


def without_agent(agents: Iterable[AgentState]) -> str | None:
    """Why none of the agents can be used, or None where one can."""
    listed = list(agents)
    return None if any(agent.usable for agent in listed) else "; ".join(agent.reason or "" for agent in listed)


@dataclass(frozen=True)
class ClassifyService:
    """What every way in needs.

    ``model``: its name and digest, shown in answers. ``timeout``: seconds for one request. ``requests``, ``streams``: the limits of
    requests and of streams of lines that are open at the same time. ``not_ready()``: why the service is not ready for requests, or
    None. ``agents()``: the state of each agent. ``phases``: seconds of each phase of the start. ``source``: of the events that it
    answers with. ``figures()``: what the pool of agents has done. ``metrics``: whether its routes include
    that of the metrics. ``about``: what the model's file says that the model is for, and of its limits. ``kind``: what that
    file holds.
    """

    classifier: Classifier
    model: dict[str, str | None]
    limits: RequestLimits
    timeout: float
    requests: CountedSemaphore
    streams: CountedSemaphore
    not_ready: Callable[[], str | None]
    agents: Callable[[], list[AgentState]]
    phases: Mapping[str, float]
    log_texts: bool = False
    cors_origins: tuple[str, ...] = ()
    source: str = "/function"
    figures: Callable[[], PoolFigures] = PoolFigures
    metrics: bool = True
    about: About = field(default_factory=About)
    kind: ProgramKind = "torchscript"

    def classify(self, request: ClassifyRequest, metadata: Mapping[str, str] | None = None) -> Classification:
        """An item for each text, in order.

        Raises `RpcError`, and `Unusable` for the first bad text unless each text is to get its own error.
        """
        classification = self.classifier.classify(request.texts, self.timeout, request.options, metadata)
        request.refuse_bad(classification.items)
        return classification
