"""The agent's Prometheus metrics."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sized
from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    Metric,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from agent.batching.batcher import Batcher
from agent.batching.requests import BatchReport
from agent.sessions import Sessions
from agent.store.aliases import Aliases
from agent.store.model import StoredModel
from agent.store.models import Store
from vaccel_rpc import __version__

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SCORES = (0.0001, 0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class AgentMetrics:
    """Counters, histograms and gauges of one agent."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        # Looking up a metric by its labels takes longer than counting. The values of labels are
        # bounded.
        self._counter_of: Callable[..., Counter] = cache(Counter.labels)
        self._histogram_of: Callable[..., Histogram] = cache(Histogram.labels)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = self._counter("vaccel_rpc_requests", "Calls answered", "method", "code")
        self._latency = self._seconds("vaccel_rpc_request_duration_seconds", "Time from a call to its answer", "method")
        self._rejections = self._counter("vaccel_rejections", "Calls and connections refused for a limit", "reason")
        self._drops = self._counter("vaccel_deadline_drops", "Calls dropped because their deadline had passed")
        self._uploads = self._counter("vaccel_uploads", "Model files that clients sent", "result")
        self._upload_bytes = self._counter("vaccel_upload_bytes", "Bytes of these files")
        self._rows = Histogram("vaccel_batch_size", "Rows run together", buckets=_ROWS, registry=self.registry)
        self._batches = self._counter("vaccel_batches", "Batches, by why each was released and no larger", "reason")
        self._tokens = self._counter("vaccel_batch_tokens", "Tokens that ran")
        self._padding = self._counter("vaccel_batch_padding_tokens", "Padding that was computed with them")
        self._waited = self._seconds("vaccel_queue_duration_seconds", "Time of a request in the queue")
        self._ran = self._seconds("vaccel_batch_duration_seconds", "Time of a batch: joining, the model, splitting")
        self._loads = self._counter("vaccel_model_loads", "Times that a model was loaded", "model")
        self._alias_runs = self._counter("vaccel_alias_runs", "Runs of an alias, by the model", "alias", "sha256", "result")
        self._alias_ran = self._seconds("vaccel_alias_run_duration_seconds", "Time of a run of an alias", "alias", "sha256")
        self._alias_changes = self._counter("vaccel_alias_changes", "Changes of aliases, made or refused", "alias", "result")
        self._shadows = self._counter(
            "vaccel_shadow_runs", "Runs of a shadow, by how it agreed with the answer", "alias", "sha256", "result"
        )
        self._shadow_difference = Histogram(
            "vaccel_shadow_score_difference", "The largest difference between a shadow's scores and the answer's",
            ("alias", "sha256"), buckets=_SCORES, registry=self.registry,
        )  # fmt: skip
        self._unloads = self._counter("vaccel_model_unloads", "Times that a model left memory for another one", "model")
        Info("vaccel_agent", "The agent's version and process", registry=self.registry).info(
            {"version": __version__, "pid": str(os.getpid())}
        )
        self._model = self._seconds("vaccel_model_run_duration_seconds", "Time of a model's batches", "model")

    def call(self, method: str, code: str, seconds: float) -> None:
        """A call was answered."""
        self._counter_of(self._requests, method, code).inc()
        self._histogram_of(self._latency, method).observe(seconds)
        if code == "DEADLINE_EXCEEDED":
            self._drops.inc()

    def rejected(self, reason: str) -> None:
        """A call or connection was refused.

        ``reason``: the limit (queue, memory, sessions, buffer, uploads, connections), or draining.
        """
        self._counter_of(self._rejections, reason).inc()

    def uploaded(self, result: str, size: int) -> None:
        """A client sent a file of ``size`` bytes; ``result``: accepted, refused or failed."""
        self._counter_of(self._uploads, result).inc()
        self._upload_bytes.inc(size)

    def batch(self, report: BatchReport) -> None:
        """A batch ran."""
        self._rows.observe(report.rows)
        self._counter_of(self._batches, report.reason).inc()
        self._tokens.inc(report.tokens)
        self._padding.inc(report.padding)
        for seconds in report.waited:
            self._waited.observe(seconds)
        self._ran.observe(report.seconds)
        self._histogram_of(self._model, report.model).observe(report.seconds)

    def loaded(self, model: StoredModel) -> None:
        """A model was loaded."""
        self._counter_of(self._loads, model.label).inc()

    def alias_run(self, alias: str, sha256: str, result: str, seconds: float) -> None:
        """A model ran as an alias; ``result``: ok or failed."""
        self._counter_of(self._alias_runs, alias, sha256, result).inc()
        self._histogram_of(self._alias_ran, alias, sha256).observe(seconds)

    def alias_changed(self, alias: str, result: str) -> None:
        """An alias changed, or a change was refused; ``result``: changed or refused."""
        self._counter_of(self._alias_changes, alias, result).inc()

    def shadow(self, alias: str, sha256: str, result: str, difference: float | None = None) -> None:
        """A shadow ran or was dropped; ``result``: agreed, differed, failed, dropped.

        ``difference``: the largest of its scores from the answer's, where it ran.
        """
        self._counter_of(self._shadows, alias, sha256, result).inc()
        if difference is not None:
            self._histogram_of(self._shadow_difference, alias, sha256).observe(difference)

    def unloaded(self, model: StoredModel) -> None:
        """A model left memory."""
        self._counter_of(self._unloads, model.label).inc()

    def observe(self, batcher: Batcher, sessions: Sessions, store: Store, aliases: Aliases, connections: Sized) -> None:
        """Adds the gauges, which are read when the metrics are scraped."""
        self.registry.register(_LoadedModels(lambda: store.models))
        self.registry.register(_AliasState(aliases))
        for name, text, value in (
            ("vaccel_queue_requests", "Requests waiting; of a divided one each part", lambda: batcher.waiting),
            ("vaccel_running_requests", "Requests in batches that run now", lambda: batcher.running_requests),
            ("vaccel_queue_texts", "Texts waiting", lambda: batcher.texts),
            ("vaccel_queue_tokens", "Tokens waiting", lambda: batcher.tokens),
            ("vaccel_queue_estimated_wait_seconds", "Time that one more request would wait", lambda: batcher.wait),
            ("vaccel_sessions", "Open sessions", lambda: len(sessions)),
            ("vaccel_resources", "Registered resources", lambda: sessions.resources),
            ("vaccel_models_bytes", "Bytes of the files of models in memory", lambda: sum(model.size for model in store.loaded)),
            (
                "vaccel_models_memory_bytes",
                "Memory that models take, as measured when each was loaded",
                lambda: sum(model.memory for model in store.loaded),
            ),
            ("vaccel_connections", "Open ttrpc connections", lambda: len(connections)),
            ("vaccel_models_loaded", "Models in memory", lambda: len(store.loaded)),
        ):
            self._gauge(name, text, value)

    def _gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(name, text, registry=self.registry).set_function(value)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _seconds(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=_SECONDS, registry=self.registry)


class _LoadedModels(Collector):
    # Uploads are left out: they have no name of their own.
    def __init__(self, models: Callable[[], Iterable[StoredModel]]) -> None:
        self._models = models

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "vaccel_model_loaded", "1 for each model of the store in memory", labels=["model", "sha256", "precision", "file"]
        )
        for model in self._models():
            if (form := model.form) and not form.upload:
                # An exact form runs as the model that it is a form of.
                digest = model.digest if form.precision == "exact" else form.digest
                family.add_metric([form.name, digest, form.precision, form.file], 1)
        yield family


class _AliasState(Collector):
    def __init__(self, aliases: Aliases) -> None:
        self._aliases = aliases

    def collect(self) -> Iterable[Metric]:
        shares = GaugeMetricFamily(
            "vaccel_alias_share", "The part of an alias's requests that a model gets", labels=["alias", "role", "sha256"]
        )
        for alias in self._aliases.all:
            for role, model, percent in alias.targets.shares:
                shares.add_metric([alias.name, role, model.digest], percent / 100)
        yield shares
        refused = GaugeMetricFamily(
            "vaccel_alias_refused", "1 while the file asks for what is refused, by the reason", labels=["alias", "reason"]
        )
        for name, refusal in dict(self._aliases.refusals).items():
            for reason in refusal.reasons:
                refused.add_metric([name, reason], 1)
        yield refused
