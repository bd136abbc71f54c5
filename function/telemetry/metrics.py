"""The function's metrics for Prometheus. Imported a moment after the first response (`function.telemetry.deferred`):
they have no part in a cold start."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from function.core.classifier import Classification, Prediction
from function.core.service import ClassifyService
from vaccel_rpc.history import STATES

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class FunctionMetrics:
    """Counters and gauges of one service."""

    def __init__(self, service: ClassifyService) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        requests = Counter("function_requests", "Requests answered", ("route", "code"), registry=registry)
        durations = Histogram(
            "function_request_duration_seconds", "Time to answer", ("route",), buckets=_SECONDS, registry=registry
        )
        self._texts = Histogram("function_request_texts", "Texts in a request", buckets=_TEXTS, registry=registry)
        self._tokens = Counter("function_tokens", "Tokens that the model saw", registry=registry)
        self._rpc = Histogram("function_rpc_duration_seconds", "Time from asking the agent to its last answer",
                              buckets=_SECONDS, registry=registry)  # fmt: skip
        gauges = {
            "function_requests_in_flight": ("Requests being answered", lambda: service.requests.held + service.streams.held),
        }
        for name, (text, value) in gauges.items():
            Gauge(name, text, registry=registry).set_function(value)
        registry.register(_AgentCollector(service))
        phases = Gauge("function_start_phase_seconds", "Seconds of the start, by phase", ("phase",), registry=registry)
        for phase, seconds in service.phases.items():
            phases.labels(phase).set(seconds)
        # To look a child up by its labels costs more than to count with it.
        self._of = lru_cache(maxsize=256)(lambda route, code: (requests.labels(route, str(code)), durations.labels(route)))

    def request(self, route: str, code: int, seconds: float) -> None:
        """Counts a request that was answered; ``route`` is the route's pattern, never the path."""
        count, duration = self._of(route, code)
        count.inc()
        duration.observe(seconds)

    def classified(self, done: Classification) -> None:
        """Counts texts that were classified, and the time of each phase."""
        self._texts.observe(len(done.items))
        self._tokens.inc(sum(item.tokens for item in done.items if isinstance(item, Prediction)))
        self._rpc.observe(done.spent.rpc)

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self._registry)


class _AgentCollector:
    """The agents' state, and the requests that wait for one, as they are when they are asked for."""

    def __init__(self, service: ClassifyService) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Called for each exposition."""
        agents, figures = self._service.agents(), self._service.figures()
        states = GaugeMetricFamily(
            "function_agents", "Agents that the address names, by the state of their link", labels=("state",)
        )
        for state in STATES:
            states.add_metric((state,), sum(agent.state == state for agent in agents))
        yield states
        since = GaugeMetricFamily(
            "function_agent_since_timestamp_seconds", "Since when an agent is in its state", labels=("agent", "state", "reason")
        )
        for agent in agents:
            since.add_metric((agent.address, agent.state, agent.problem.name if agent.problem else ""), agent.since)
        yield since
        yield GaugeMetricFamily("function_requests_waiting_for_agent", "Requests that wait for an agent", figures.waits.now)
        yield CounterMetricFamily("function_agent_waits", "Requests that have had to wait for an agent", figures.waits.ever)
        runs = CounterMetricFamily("function_agent_runs", "Runs that an agent has answered", labels=("agent",))
        for agent_name, count in figures.runs.items():
            runs.add_metric((agent_name,), count)
        yield runs
        retries = CounterMetricFamily("function_agent_retries", "Runs that were sent to an agent again", labels=("reason",))
        for reason, count in figures.retries.items():
            retries.add_metric((reason,), count)
        yield retries
        yield CounterMetricFamily("function_agent_suspects", "How often an agent did not answer any more", figures.suspects)
        yield CounterMetricFamily("function_agent_drains", "How often an agent said that it shuts down", figures.drains)
