"""The agent's command line: ``python -m agent``, ``vaccel-rpc-agent``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from agent.config import MIB, Config, ConfigError
from vaccel_common import log, process, tracing
from vaccel_rpc.addresses import DEFAULT, Address, AddressError, parse
from vaccel_rpc.channels import Tls

_UPSTREAM_KEYS = ("plugins", "log_level", "log_file", "profiling_enabled", "version_ignore")
_ADDRESS_HELP = "Where to listen, repeatable: unix://, tcp://, vsock:// speak ttrpc; grpc://, grpc+unix:// speak gRPC."


class _AddressType(click.ParamType[Address]):
    name = "ADDR"
    envvar_list_splitter = ","

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        try:
            return value if isinstance(value, Address) else parse(value)
        except AddressError as error:
            self.fail(str(error), param, ctx)


class _HostPort(click.ParamType[tuple[str, int]]):
    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        try:
            address = parse(f"tcp://{value}")
        except AddressError:
            self.fail(f"{value!r}: expected host:port, such as 127.0.0.1:9090", param, ctx)
        return address.host, address.port


class _UpstreamConfig(click.ParamType[dict[str, str]]):
    name = "k=v,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, str]:
        pairs = dict(part.partition("=")[::2] for part in value.split(",") if part)
        for key in pairs:
            if key not in _UPSTREAM_KEYS:
                self.fail(f"unknown key {key!r}; the keys are {', '.join(_UPSTREAM_KEYS)}", param, ctx)
        return pairs


@click.command(
    context_settings={"show_default": True, "max_content_width": 120, "auto_envvar_prefix": "VACCEL_AGENT"},
    epilog="Every option can be set by the environment too: VACCEL_AGENT_ and its name, as in VACCEL_AGENT_PRELOAD='a b'.",
)
@click.option("-a", "--server-address", "addresses", type=_AddressType(), multiple=True, default=[DEFAULT],
              envvar="VACCEL_RPC_LISTEN", show_envvar=True, help=_ADDRESS_HELP)  # fmt: skip
@click.option("--models", type=click.Path(path_type=Path), help="The model store: a folder of NAME.pt and NAME.pt2.")
@click.option(
    "--preload", multiple=True, metavar="NAME", help="Load and warm up before the agent is ready; repeatable, or 'all'."
)
@click.option("--uploads", type=click.Choice(["allow", "known", "deny"]), default=None,
              show_default="known; allow if all are unix sockets",
              help="Model bytes from clients: run any, only those whose sha256 is a model of the store, or none.")  # fmt: skip
@click.option(
    "--precision", type=click.Choice(["auto", "exact", "fast"]), default="exact",
    help="Run what was asked for, or its fastest variant in the store; auto: bf16 alone, where it agreed on 999 of 1000 texts.",
)  # fmt: skip
@click.option(
    "--plugin", "plugins", multiple=True, metavar="MODULE", help="One more engine, for files of its own suffix; repeatable."
)
@click.option("--device", default="auto", metavar="auto|cpu|cuda[:N]", help="Where torch runs.")
@click.option(
    "--threads", type=click.IntRange(1), default=None, show_default="all cores the process may use", help="Cores on a CPU."
)
@click.option("--max-batch", type=click.IntRange(1), default=64, help="Rows run together; fewer where more would win nothing.")
@click.option("--max-delay-ms", type=click.FloatRange(0), default=0.0, help="Wait so long for company, though a worker is free.")
@click.option("--max-queue", type=click.IntRange(1), default=1024, help="Texts that may wait; one more is RESOURCE_EXHAUSTED.")
@click.option("--max-queue-tokens", type=click.IntRange(1), default=128 << 10, help="Tokens that may wait, likewise.")
@click.option("--max-message", type=click.IntRange(1, 1024), default=1024, metavar="MiB", help="The largest message.")
@click.option("--max-buffer", type=click.IntRange(1), default=2048, metavar="MiB", help="Bytes of requests held for all clients.")
@click.option("--max-uploads", type=click.IntRange(1), default=8192, metavar="MiB", help="Disk for uploaded models.")
@click.option("--max-sessions", type=click.IntRange(1), default=1024, help="Open sessions.")
@click.option("--max-connections", type=click.IntRange(1), default=1024, help="Open ttrpc connections.")
@click.option("--max-models", type=click.IntRange(1), default=16, help="Models in memory; the longest unused goes.")
@click.option(
    "--idle-session-s", type=click.FloatRange(0, min_open=True), default=3600.0, help="An unused session ends after this."
)
@click.option("--grace-s", type=click.FloatRange(0), default=10.0, help="Time for running calls after SIGTERM.")
@click.option(
    "--metrics-address", type=_HostPort(), default=None, show_default="off", help="Prometheus /metrics, /healthz, /readyz."
)
@click.option("--tls-cert", type=click.Path(exists=True, dir_okay=False), help="PEM; TLS on the grpc:// addresses.")
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False), help="PEM; the certificate's key.")
@click.option("--tls-ca", type=click.Path(exists=True, dir_okay=False), help="PEM; clients must show a certificate it signed.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", help="Text as upstream's, or JSON lines.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warn", "error"]), default="info")
@click.option(
    "--vaccel-config", type=_UpstreamConfig(), default="", help=f"Upstream's option; keys: {', '.join(_UPSTREAM_KEYS)}."
)
def main(**options: Any) -> None:
    """The vAccel RPC agent: runs torch models for clients that speak the vAccel RPC, over ttrpc or gRPC."""
    process.end_on_sigterm()
    upstream = options.pop("vaccel_config")
    level = upstream.get("log_level", options.pop("log_level"))
    if level not in ("debug", "info", "warn", "error"):
        raise click.UsageError(f"--vaccel-config log_level={level}: one of debug, info, warn, error is needed")
    try:
        log.configure(options.pop("log_format"), level, upstream.get("log_file"))
        config = _config(options)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.UsageError(f"--vaccel-config log_file: {error.strerror}") from None
    _serve(config)


def _config(options: dict[str, Any]) -> Config:
    tls = Tls(options.pop("tls_ca"), options.pop("tls_cert"), options.pop("tls_key"))
    for name in ("max_message", "max_buffer", "max_uploads"):
        options[name] *= MIB
    return Config(
        addresses=tuple(options.pop("addresses")),
        preload=tuple(options.pop("preload")),
        plugins=tuple(options.pop("plugins")),
        max_delay=options.pop("max_delay_ms") / 1000,
        idle_session=options.pop("idle_session_s"),
        grace=options.pop("grace_s"),
        metrics=options.pop("metrics_address"),
        tls=tls if any((tls.ca, tls.cert, tls.key)) else None,
        **options,
    )


def _serve(config: Config) -> None:
    # Read by OpenMP when torch is loaded. Idle threads that spin take the cores from the other workers; a short spin bridges
    # the gaps within one run.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    from agent.server import StartError, serve

    try:
        tracing.configure("vaccel-rpc-agent")
        serve(config)
        tracing.shutdown()
    except (StartError, tracing.TracingError) as error:
        click.echo(f"vaccel-rpc-agent: {error}", err=True)
        sys.exit(2 if isinstance(error, tracing.TracingError) else 1)


if __name__ == "__main__":
    main(prog_name="vaccel-rpc-agent")
