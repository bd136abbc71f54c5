"""What the environment says, read once and checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vaccel_common.modelfile import read_extras
from vaccel_rpc.addresses import Address, AddressError, from_environment, parse
from vaccel_rpc.channels import Tls

#: Variable, default, meaning; printed by ``--help``.
VARIABLES = (
    ("VACCEL_RPC_ADDRESS", "tcp://127.0.0.1:65500", "the agent: unix://, tcp://, vsock://, grpc://, grpcs:// or grpc+unix://"),
    ("VACCEL_RPC_TLS_CA, _CERT, _KEY", "", "files (PEM) for grpcs://"),
    (
        "MODEL",
        "TOKENIZER's, else the one models/*.pt, else the model that ships",
        "path of the model file, or NAME or sha256:HEX of the agent's store (with TOKENIZER)",
    ),
    ("TOKENIZER", "", "the model's tokenizer file, where the model file itself is not here"),
    ("PORT, HOST", "8080, 0.0.0.0", "where to listen"),
    ("THREADS", "128", "requests answered at the same time"),
    ("REQUEST_TIMEOUT_S", "20", "seconds for one request"),
    ("MAX_TEXTS", "128", "texts in one request"),
    ("MAX_TEXT_CHARS", "10000", "characters of one text"),
    ("MAX_BODY", "1048576", "bytes of a request's body, and of a line"),
    ("MAX_BUFFER", "67108864", "bytes of all clients' bodies together while they arrive"),
    ("MAX_STREAMS", "1024", "streams of lines open at the same time"),
    ("MAX_CONNECTIONS", "what the limit of descriptors leaves", "connections; for one more the longest idle one is closed"),
    ("READ_TIMEOUT_S", "10", "seconds for a request's head and body to arrive, and for a line of a stream"),
    ("WRITE_TIMEOUT_S", "60", "seconds after which a client that takes nothing of its answer is cut off"),
    ("KEEP_ALIVE_S", "75", "seconds for which an idle connection is kept"),
    ("CORS_ORIGINS", "", "origins, comma-separated, whose pages may call; * is every one"),
    ("EVENT_SOURCE", "/ and the Knative service's name", "source of the CloudEvents it answers with"),
    ("LOG_FORMAT", "text", "text or json"),
    ("LOG_LEVEL", "info", "debug, info, warn or error; info has a line for each request"),
    ("LOG_TEXTS", "0", "1: the texts stand in the log too"),
)


class ConfigError(ValueError):
    """A variable that cannot be used; the message names it and what would be right."""


@dataclass(frozen=True)
class Config:
    """The function's settings; sizes in bytes, times in seconds.

    ``model`` is a path, a name for the agent, or empty: the one that ``tokenizer``, or the tokenizer that ships, belongs to.
    """

    address: Address
    tls: Tls | None
    model: str
    tokenizer: Path | None
    host: str
    port: int
    threads: int
    timeout: float
    max_texts: int
    max_text_chars: int
    max_body: int
    max_buffer: int
    max_streams: int
    max_connections: int | None
    read_timeout: float
    write_timeout: float
    keep_alive: float
    cors_origins: tuple[str, ...]
    event_source: str
    log_format: Literal["text", "json"]
    log_level: str
    log_texts: bool


def from_env(env: Mapping[str, str] = os.environ) -> Config:
    """The settings in ``env``. Raises `ConfigError`."""
    tls = Tls(env.get("VACCEL_RPC_TLS_CA"), env.get("VACCEL_RPC_TLS_CERT"), env.get("VACCEL_RPC_TLS_KEY"))
    tokenizer = env.get("TOKENIZER")
    log_format = _one_of(env, "LOG_FORMAT", ("text", "json"))
    return Config(
        address=address_of(env.get("VACCEL_RPC_ADDRESS") or env.get("VACCEL_RPC_ADDR") or from_environment()),
        tls=tls,
        model=env.get("MODEL") or ("" if tokenizer else _only_model()),
        tokenizer=Path(tokenizer) if tokenizer else None,
        host=env.get("HOST", "0.0.0.0"),
        port=_integer(env, "PORT", 8080, 0, 65535),
        threads=_integer(env, "THREADS", 128, 1, 1024),
        timeout=_seconds(env, "REQUEST_TIMEOUT_S", 20.0),
        max_texts=_integer(env, "MAX_TEXTS", 128, 1, 100_000),
        max_text_chars=_integer(env, "MAX_TEXT_CHARS", 10_000, 1, 10_000_000),
        max_body=_integer(env, "MAX_BODY", 1 << 20, 1, 1 << 30),
        max_buffer=_integer(env, "MAX_BUFFER", 64 << 20, 1, 1 << 40),
        max_streams=_integer(env, "MAX_STREAMS", 1024, 1, 65_536),
        max_connections=_integer(env, "MAX_CONNECTIONS", 0, 1, 65_536) if env.get("MAX_CONNECTIONS") else None,
        read_timeout=_seconds(env, "READ_TIMEOUT_S", 10.0),
        write_timeout=_seconds(env, "WRITE_TIMEOUT_S", 60.0),
        keep_alive=_seconds(env, "KEEP_ALIVE_S", 75.0),
        cors_origins=tuple(origin.strip() for origin in env.get("CORS_ORIGINS", "").split(",") if origin.strip()),
        event_source=env.get("EVENT_SOURCE") or "/" + env.get("K_SERVICE", "function"),
        log_format="json" if log_format == "json" else "text",
        log_level=_one_of(env, "LOG_LEVEL", ("info", "debug", "warn", "error")),
        log_texts=_one_of(env, "LOG_TEXTS", ("0", "1")) == "1",
    )


def address_of(text: str) -> Address:
    """One agent's address. Raises `ConfigError`."""
    if "," in text:
        raise ConfigError(f"VACCEL_RPC_ADDRESS={text}: one address is needed; several agents are not supported yet")
    try:
        return parse(text)
    except AddressError as error:
        raise ConfigError(f"VACCEL_RPC_ADDRESS: {error}") from None


def _only_model() -> str:
    """The one model file beside the package or in the working directory; empty where there is none: the model that ships."""
    for folder in (Path(__file__).parent.parent / "models", Path("models")):
        found = _originals(sorted(folder.glob("*.pt")))
        if len(found) == 1:
            return str(found[0])
        if found:
            raise ConfigError(f"MODEL: {folder} holds several models ({', '.join(path.name for path in found)}); name one")
    return ""


def _originals(files: list[Path]) -> list[Path]:
    """Those that are not another model's variant; a single file is not looked into."""
    return files if len(files) < 2 else [path for path in files if read_extras(path).variant is None]


def _one_of(env: Mapping[str, str], name: str, values: tuple[str, ...]) -> str:
    """The first of ``values`` is the default."""
    text = env.get(name) or values[0]
    if text not in values:
        raise ConfigError(f"{name}={text}: {', '.join(values[:-1])} or {values[-1]} is needed")
    return text


def _integer(env: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = env.get(name) or str(default)
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        raise ConfigError(f"{name}={text}: a whole number from {least} to {most} is needed")
    return int(text)


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise ConfigError(f"{name}={text}: seconds from above 0 to 86400 are needed")
    return seconds
