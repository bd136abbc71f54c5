"""The function's options: environment variables, read once and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from function.load import default_model
from vaccel_common import log
from vaccel_common.kinds import Choice, Flag, Many, Parsed, PathTo, Text
from vaccel_common.number_kinds import Integer, seconds
from vaccel_common.options import ConfigError, from_variables, option
from vaccel_rpc.addresses import DEFAULT
from vaccel_rpc.channels import Tls
from vaccel_rpc.negotiation import CHOICES, DialectChoice
from vaccel_rpc.pool.targets import Target, parse_targets, show

_DAY_S = 86_400


#: The option by which every program of ours finds its agents, and the variables that upstream's clients read too.
AGENTS = Parsed(parse_targets, "ADDRESS,...", "a list of addresses", show)
DEFAULT_AGENTS = parse_targets(DEFAULT)
AGENTS_VARIABLES = ("VACCEL_RPC_ADDRESS", "VACCEL_RPC_ADDR")
#: The option by which every program of ours chooses how to speak to the agent.
DIALECT = Choice[DialectChoice](CHOICES)
DIALECT_VARIABLES = ("VACCEL_RPC_DIALECT",)
DIALECT_HELP = "The dialect of vAccel's RPC: auto finds out, for each connection, which one the agent speaks."
DIALECT_CHOOSE = "Leave it at auto, unless an agent speaks several dialects and one of them is to be tested."


_ORIGIN_FORM = "an origin, scheme://host or scheme://host:port, or *"
_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*)://([a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::(\d{1,5}))?", re.ASCII | re.IGNORECASE
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def _origin(text: str) -> str:
    """An origin in the form in which browsers send it: in lower case, without the scheme's own port. Raises ``ValueError``."""
    if text == "*":
        return text
    match = _ORIGIN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r}: {_ORIGIN_FORM} is needed")
    return match[0].lower().removesuffix(f":{_DEFAULT_PORTS.get(match[1].lower(), '')}")


@dataclass(frozen=True, kw_only=True)
class FunctionConfig:
    """The function's settings, each with its variable; sizes in bytes, times in seconds.

    ``model`` is a path, a name for the agent, or empty: the model that ``tokenizer``, or the tokenizer that
    ships, belongs to.
    """

    agents: tuple[Target, ...] = option(
        AGENTS, DEFAULT_AGENTS, flags=("--address",), variables=AGENTS_VARIABLES,
        help="The agents' addresses: unix://, tcp:// or vsock:// (ttrpc), grpc://, grpcs:// or grpc+unix:// (gRPC). A list, or a "
        "name with several records, is a pool; ';prefer' behind an address puts it first.",
        choose="Use unix:// for an agent in the same pod, and tcp:// with a headless Service for several agents.",
    )  # fmt: skip
    dialect: DialectChoice = option(DIALECT, "auto", variables=DIALECT_VARIABLES, help=DIALECT_HELP, choose=DIALECT_CHOOSE)
    tls_ca: Path | None = option(
        PathTo(), variables=("VACCEL_RPC_TLS_CA",), help="The authority that signed the agent's certificate (PEM), for grpcs://.",
        shown="the system's authorities",
    )  # fmt: skip
    tls_cert: Path | None = option(
        PathTo(), variables=("VACCEL_RPC_TLS_CERT",), help="This client's certificate (PEM), for grpcs://."
    )
    tls_key: Path | None = option(PathTo(), variables=("VACCEL_RPC_TLS_KEY",), help="The key of this client's certificate (PEM).")
    model: str = option(
        Text(), "", variables=("MODEL",), shown="TOKENIZER's, else models/tweets.pt, else the only model in models/, else the model that ships",
        help="The model: a path, or NAME or sha256:HEX of the agent's store (with TOKENIZER).",
        choose="Name the sha256 where every replica has to answer by exactly the same model.",
    )  # fmt: skip
    tokenizer: Path | None = option(
        PathTo(), variables=("TOKENIZER",), help="The model's tokenizer file, where the model file itself is not here."
    )
    port: int = option(Integer(0, 65535), 8080, variables=("PORT",), help="The TCP port to listen on; 0 is any free one.")
    host: str = option(Text(), "0.0.0.0", variables=("HOST",), help="The address to listen on.")
    metrics_port: int | None = option(
        Integer(0, 65535), variables=("METRICS_PORT",), shown="PORT, as GET /metrics",
        help="A TCP port of its own for GET /metrics, which PORT then lacks; 0 is any free one.",
        choose="Set it where PORT is public. Not 9090 or 9091 on Knative, whose queue-proxy has them.",
    )  # fmt: skip
    threads: int = option(
        Integer(1, 1024), 128, variables=("THREADS",), help="Requests answered at the same time; more are answered 503.",
        choose="Keep it above Knative's containerConcurrency; each takes a thread while it waits for the agent.",
    )  # fmt: skip
    timeout: float = option(
        seconds(maximum=_DAY_S), 20.0, variables=("REQUEST_TIMEOUT_S",), help="Seconds for the agent to answer one request.",
        choose="Keep it below Knative's timeoutSeconds, so that the client reads the reason.",
    )  # fmt: skip
    agent_wait: float = option(
        seconds(minimum=0, maximum=_DAY_S), 10.0, variables=("AGENT_WAIT_S",),
        help="Seconds for which a request waits for an agent while none is connected; then it is answered 503.",
        choose="Keep it longer than an agent takes to restart, and below REQUEST_TIMEOUT_S; 0 answers 503 at once.",
    )  # fmt: skip
    ready_without_agent: float = option(
        seconds(minimum=0, maximum=_DAY_S), 15.0, variables=("READY_WITHOUT_AGENT_S",),
        help="Seconds after the start after which the function is ready, even if no agent was reached.",
        choose="Together with AGENT_WAIT_S, keep it below the time for which clients and the ingress wait.",
    )  # fmt: skip
    max_texts: int = option(Integer(1, 100_000), 128, variables=("MAX_TEXTS",), help="Texts in one request.")
    max_text_chars: int = option(
        Integer(1, 10_000_000), 10_000, variables=("MAX_TEXT_CHARS",), help="Characters of one text.",
        choose="A longer text costs time to tokenize, though the model sees only its maximum of tokens.",
    )  # fmt: skip
    max_body: int = option(
        Integer(1, 1 << 30), 1 << 20, variables=("MAX_BODY",), help="Bytes of a request's body, and of a line of a stream."
    )
    max_buffer: int = option(
        Integer(1, 1 << 40), 64 << 20, variables=("MAX_BUFFER",), help="Bytes of all clients' bodies together while they arrive.",
        choose="Keep it well below the container's memory limit.",
    )  # fmt: skip
    max_streams: int = option(
        Integer(1, 65_536), 1024, variables=("MAX_STREAMS",), help="Streams of lines open at the same time."
    )
    max_connections: int | None = option(
        Integer(1, 65_536), variables=("MAX_CONNECTIONS",), shown="what the limit of descriptors leaves",
        help="Open connections; for one more the one that has been idle longest is closed.",
    )  # fmt: skip
    read_timeout: float = option(
        seconds(maximum=_DAY_S), 10.0, variables=("READ_TIMEOUT_S",),
        help="Seconds for a request's head and for its body to arrive, and for a line of a stream.",
        choose="Raise it for large bodies over slow links.",
    )  # fmt: skip
    write_timeout: float = option(
        seconds(maximum=_DAY_S), 60.0, variables=("WRITE_TIMEOUT_S",),
        help="Seconds after which a client that reads nothing of its response is disconnected.",
    )  # fmt: skip
    keep_alive: float = option(
        seconds(maximum=_DAY_S), 75.0, variables=("KEEP_ALIVE_S",), help="Seconds for which an idle connection is kept.",
        choose="Keep it longer than the load balancer's own, so that no request meets a closing connection.",
    )  # fmt: skip
    cors_origins: tuple[str, ...] = option(
        Many(Parsed(_origin, "ORIGIN", _ORIGIN_FORM)), (), variables=("CORS_ORIGINS",), shown="none",
        help="Origins, separated by commas, whose pages may call; * is every origin.",
    )  # fmt: skip
    event_source: str = option(
        Text(),
        "",
        variables=("EVENT_SOURCE",),
        shown="/ and the Knative Service's name",
        help="The source of CloudEvents it answers with.",
    )
    log_format: log.Format = option(log.FORMAT, "text", variables=("LOG_FORMAT",), help="Text, or JSON lines.")
    log_level: log.Level = option(
        log.LEVEL, "info", variables=("LOG_LEVEL",), help="The least severe level to log; info has a line for each request."
    )
    log_texts: bool = option(
        Flag(),
        default=False,
        variables=("LOG_TEXTS",),
        help="1: input texts are also logged.",
        choose="Leave it at 0 for personal data.",
    )

    @property
    def tls(self) -> Tls:
        """The files for ``grpcs://``."""
        return Tls(self.tls_ca, self.tls_cert, self.tls_key)


def from_env(env: Mapping[str, str]) -> FunctionConfig:
    """The settings in ``env``, and in nothing else. Raises `ConfigError`, also for files for TLS that cannot be used."""
    config = FunctionConfig(**from_variables(FunctionConfig, env))
    if config.metrics_port and config.metrics_port == config.port:
        raise ConfigError(f"METRICS_PORT={config.metrics_port}: it must differ from PORT")
    if any(target.address.scheme == "grpcs" for target in config.agents) and (found := config.tls.problem()):
        raise ConfigError(f"VACCEL_RPC_TLS_{found.part.upper()}={found}")
    if not config.model and config.tokenizer is None:
        config = replace(config, model=default_model())
    return config if config.event_source else replace(config, event_source="/" + env.get("K_SERVICE", "function"))
