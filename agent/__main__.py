"""The agent's command line: ``python -m agent``, ``vaccel-rpc-agent``."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import click

from agent.config import VARIABLE_PREFIX, AgentConfig
from vaccel_common import commandline, log, process, tracing
from vaccel_common.options import ConfigError

#: Seconds after which a thread that waits for Python's lock gets it.
_SWITCH_S = 0.0005


@click.command(
    cls=commandline.ToolCommand,
    context_settings={"show_default": True, "max_content_width": 120},
    epilog="In a variable, separate several models or modules by spaces: VACCEL_AGENT_PRELOAD='a b'; addresses by commas.",
)
@commandline.options(AgentConfig, prefix=VARIABLE_PREFIX)
def main(**values: Any) -> None:
    """The vAccel RPC agent: runs models for clients that speak the vAccel RPC, over ttrpc or gRPC."""
    process.end_on_sigterm()
    try:
        config = AgentConfig(**values)
        log.configure(config.log_format, config.effective_log_level, config.vaccel_config.log_file)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.UsageError(f"--vaccel-config log_file: {error.filename}: {error.strerror}") from None
    _serve(config)


def _serve(config: AgentConfig) -> None:
    # Read by OpenMP when torch is loaded. Idle threads that spin take the cores from the other
    # workers; a short spin bridges the gaps within one run.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # A worker whose model has run waits for Python's lock while the event loop holds it, by default
    # 5 ms, which is longer than a batch of short texts takes.
    sys.setswitchinterval(_SWITCH_S)
    from agent.server import StartError, serve

    try:
        tracing.configure("vaccel-rpc-agent")
        code = serve(config)
        tracing.shutdown()
    except (StartError, tracing.TracingError) as error:
        click.echo(f"vaccel-rpc-agent: {error}", err=True)
        sys.exit(2 if isinstance(error, tracing.TracingError) else 1)
    # Everything is closed, and for Python to take torch apart costs up to a second. A thread that is
    # still in an engine would crash the process meanwhile.
    logging.shutdown()
    os._exit(code)


if __name__ == "__main__":
    main(prog_name="vaccel-rpc-agent")
