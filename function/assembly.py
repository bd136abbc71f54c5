"""Assembles the function for every runtime: the model's tokenizer, the connection to the agent, the WSGI
application."""

from __future__ import annotations

import threading
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

    from function.server.application import Application
    from function.telemetry.access import Access


@dataclass(frozen=True)
class Function:
    """An assembled function; ``app`` is what a runtime calls."""

    app: WSGIApplication
    access: Access
    remote: RemoteModel
    draining: threading.Event

    def asgi(self, config: FunctionConfig) -> Application:
        """The application for a server that speaks ASGI."""
        from function.server.application import Application, ServerLimits

        return Application(self.app, ServerLimits(config.threads, config.max_body, config.max_buffer, config.read_timeout))

    def not_ready(self) -> str | None:
        """Why it cannot answer now, or None."""
        return _not_ready(self.remote, self.draining)

    def drain(self) -> None:
        """The function reports from now on that it is not ready."""
        self.draining.set()

    def close(self) -> None:
        """Closes the connection to the agent and sends the spans that are left."""
        self.remote.close()
        tracing.shutdown()


def assemble(config: FunctionConfig, phases: Phases | None = None) -> Function:
    """The function that ``config`` describes; the agent is being connected when this returns. Raises `ModelFileError`, `ConfigError`."""
    phases = Phases() if phases is None else phases
    try:
        tracing.configure("function")
    except tracing.TracingError as error:
        raise ConfigError(str(error)) from None
    source, model, file = describe(config.model, config.tokenizer)
    remote = RemoteModel(config.address, source, tls=config.tls, dialect=config.dialect)
    remote.start()
    # Imported only now, while the connection to the agent is being made.
    from function.core.classifier import Classifier
    from function.core.request import RequestLimits
    from function.core.service import ClassifyService, CountedSemaphore
    from function.telemetry.access import Access
    from function.web.app import create_app

    phases.end("imports")
    classifier = Classifier.of_file(extras_of(file), remote)
    phases.end("tokenizer")
    draining = threading.Event()
    service = ClassifyService(
        classifier=classifier,
        model=model,
        limits=RequestLimits(config.max_texts, config.max_text_chars, config.max_body),
        timeout=config.timeout,
        requests=CountedSemaphore(config.threads),
        streams=CountedSemaphore(config.max_streams),
        not_ready=lambda: _not_ready(remote, draining),
        agents=remote.agents,
        phases=phases,
        log_texts=config.log_texts,
        cors_origins=config.cors_origins,
        source=config.event_source,
    )
    access = Access(service)
    app = create_app(service, access)
    phases.end("routes")
    return Function(app, access, remote, draining)


def _not_ready(remote: RemoteModel, draining: threading.Event) -> str | None:
    if draining.is_set():
        return "shutting down"
    return None if remote.ready else f"no agent: {remote.problem.message if remote.problem else 'connecting'}"
