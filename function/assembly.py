"""Assembles the function for every runtime: the model's tokenizer, the connection to the agent, the WSGI
application."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from function.config import FunctionConfig
from function.load import describe, extras_of
from function.telemetry.phases import Phases
from vaccel_common import tracing
from vaccel_common.options import ConfigError
from vaccel_rpc.remote import RemoteModel

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from function.core.readiness import Readiness
    from function.core.service import ClassifyService
    from function.server.application import Application
    from function.server.exporter import MetricsExporter
    from function.telemetry.access import Access
    from function.web.refused import Refusals


_log = logging.getLogger("function")


@dataclass(frozen=True)
class Function:
    """An assembled function; ``app`` is what a runtime calls."""

    app: WSGIApplication
    service: ClassifyService
    access: Access
    refusals: Refusals
    remote: RemoteModel
    readiness: Readiness
    exporter: MetricsExporter | None = None

    def asgi(self, config: FunctionConfig) -> Application:
        """The application for a server that speaks ASGI."""
        from function.server.application import Application, ServerLimits
        from function.web.direct import DirectAnswers
        from vaccel_rpc.awaiting import AwaitedRuns

        limits = ServerLimits(config.threads, config.max_body, config.max_buffer, config.read_timeout)
        return Application(
            self.app,
            limits,
            lambda in_thread: DirectAnswers(self.service, self.access, AwaitedRuns(self.remote, in_thread)),
            self.refusals,
        )

    def not_ready(self) -> str | None:
        """Why it is not ready for requests, or None."""
        return self.readiness.reason()

    def drain(self) -> None:
        """The function reports from now on that it is not ready."""
        self.readiness.drain()

    def close(self) -> None:
        """Closes the connection to the agent and sends the spans that are left."""
        self.remote.close()
        if self.exporter:
            self.exporter.close()
        tracing.shutdown()


def assemble(config: FunctionConfig, phases: Phases | None = None) -> Function:
    """The function that ``config`` describes; the agent is being connected when this returns. Raises `ModelFileError`, `ConfigError`."""
    phases = Phases() if phases is None else phases
    try:
        tracing.configure("function")
    except tracing.TracingError as error:
        raise ConfigError(str(error)) from None
    described = describe(config.model, config.tokenizer)
    remote = RemoteModel(config.agents, described.source, tls=config.tls, dialect=config.dialect, agent_wait=config.agent_wait)
    remote.start()
    # Imported only now, while the connection to the agent is being made.
    from function.core.classifier import Classifier
    from function.core.readiness import Readiness
    from function.core.request import RequestLimits
    from function.core.service import ClassifyService, CountedSemaphore, without_agent
    from function.telemetry.access import Access
    from function.web.app import create_app
    from function.web.refused import Refusals

    phases.end("imports")
    extras = extras_of(described.file)
    classifier = Classifier.of_file(extras, remote)
    phases.end("tokenizer")
    readiness = Readiness(lambda: without_agent(remote.agents()), config.ready_without_agent)
    service = ClassifyService(
        classifier=classifier,
        model=described.model,
        limits=RequestLimits(config.max_texts, config.max_text_chars, config.max_body, classifier.pairs),
        timeout=config.timeout,
        requests=CountedSemaphore(config.threads),
        streams=CountedSemaphore(config.max_streams),
        not_ready=readiness.reason,
        agents=remote.agents,
        figures=remote.figures,
        phases=phases,
        log_texts=config.log_texts,
        cors_origins=config.cors_origins,
        source=config.event_source,
        metrics=config.metrics_port is None,
        about=extras.about,
        kind=described.kind,
    )
    access = Access(service)
    app = create_app(service, access)
    phases.end("routes")
    return Function(app, service, access, Refusals(app, access), remote, readiness, _exporter(config, access))


def _exporter(config: FunctionConfig, access: Access) -> MetricsExporter | None:
    if config.metrics_port is None:
        return None
    from function.server.exporter import MetricsExporter
    from function.server.listening import CannotListen, shown

    try:
        exporter = MetricsExporter(config.host, config.metrics_port, access.exposition)
    except (OSError, UnicodeError) as error:
        raise CannotListen(config.host, config.metrics_port, "METRICS_PORT", error) from None
    _log.info("Metrics on http://%s/metrics", shown(*exporter.address))
    return exporter
