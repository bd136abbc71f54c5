"""The application without a server and without an agent: the shipped model's tokenizer, and logits that a test gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from werkzeug.test import Client

from function.core.classifier import Classifier
from function.core.request import RequestLimits
from function.core.service import ClassifyService, CountedSemaphore
from function.load import extras_of
from function.telemetry.access import Access
from function.web.app import create_app
from tests.support.paths import TWEETS
from vaccel_common.modelfile import Extras
from vaccel_rpc.client import RunResult
from vaccel_rpc.errors import RpcError
from vaccel_rpc.history import AgentState
from vaccel_rpc.tensors import Tensor, from_values, to_values

#: Token ids of a run -> logits, or the run's error.
Logits = Callable[[list[Any]], Sequence[float] | RpcError]


@lru_cache
def extras() -> Extras:
    return extras_of(TWEETS)


class LogitsRunner:
    """Answers each run with what ``logits`` makes of its token ids; counts the runs."""

    def __init__(self, logits: Logits) -> None:
        self._logits = logits
        self.runs = 0

    def run_each(self, requests: Sequence[Sequence[Tensor]], *_: Any, **__: Any) -> list[RunResult | RpcError]:
        self.runs += len(requests)
        outcomes = [self._logits(to_values(request[0])) for request in requests]
        return [
            logits if isinstance(logits, RpcError) else RunResult([from_values("float32", (1, 3), logits)]) for logits in outcomes
        ]


def service(logits: Logits = lambda _: (0.0, 0.0, 2.0), of: Extras | None = None) -> ClassifyService:
    """A service of the shipped model (or ``of`` another) that runs nothing; bodies of 4,000 bytes, 4 texts of 100 characters."""
    classifier = Classifier.of_file(of or extras(), LogitsRunner(logits))
    return ClassifyService(
        classifier, {"name": "tweets", "sha256": None}, RequestLimits(4, 100, 4000, classifier.pairs), 1.0,
        CountedSemaphore(4), CountedSemaphore(1), lambda: None, lambda: [AgentState("unix:///nowhere", "ready", 0)], {},
    )  # fmt: skip


def client(logits: Logits = lambda _: (0.0, 0.0, 2.0), of: Extras | None = None) -> Any:
    """A client of such an application (werkzeug's)."""
    classify_service = service(logits, of)
    return Client(create_app(classify_service, Access(classify_service)))
