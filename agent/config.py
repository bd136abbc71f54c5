"""Everything that can be set, in one place; `agent.__main__` fills it from options and environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vaccel_rpc.addresses import DEFAULT, Address, parse
from vaccel_rpc.channels import Tls

Uploads = Literal["allow", "known", "deny"]
Precision = Literal["auto", "exact", "fast"]

MIB = 1 << 20


class ConfigError(ValueError):
    """A setting, or two together, that cannot be; the message names the option and what would be right."""


@dataclass(frozen=True)
class Config:
    """The agent's settings; `agent.__main__`'s ``--help`` says what each means. Sizes in bytes, times in seconds.

    Raises `ConfigError` when built from what cannot be.
    """

    addresses: tuple[Address, ...] = (parse(DEFAULT),)
    models: Path | None = None
    preload: tuple[str, ...] = ()
    uploads: Uploads | None = None
    precision: Precision = "exact"
    plugins: tuple[str, ...] = ()
    device: str = "auto"
    threads: int | None = None
    max_batch: int = 64
    max_delay: float = 0.0
    max_queue: int = 1024
    max_queue_tokens: int = 128 << 10
    max_message: int = 1024 * MIB
    max_buffer: int = 2048 * MIB
    max_uploads: int = 8192 * MIB
    max_sessions: int = 1024
    max_connections: int = 1024
    max_models: int = 16
    idle_session: float = 3600.0
    grace: float = 10.0
    metrics: tuple[str, int] | None = None
    tls: Tls | None = None

    def __post_init__(self) -> None:
        if self.preload and self.models is None:
            raise ConfigError("--preload names models of the store: give --models DIR too")
        if self.models is not None and not self.models.is_dir():
            raise ConfigError(f"--models {self.models}: no such directory")
        if len(set(self.addresses)) != len(self.addresses):
            raise ConfigError("--server-address: the same address is given twice")
        if self.tls and not any(address.scheme == "grpc" for address in self.addresses):
            raise ConfigError("--tls-cert, --tls-key and --tls-ca are for grpc:// addresses; none is given")
        if self.tls and not (self.tls.cert and self.tls.key):
            raise ConfigError("TLS needs both --tls-cert and --tls-key")
        for address in self.addresses:
            if address.scheme == "grpcs":
                raise ConfigError(f"--server-address {address}: listen on grpc:// and give --tls-cert and --tls-key")
        if self.max_message > 1024 * MIB:
            raise ConfigError("--max-message: at most 1024 MiB, vAccel's own limit")

    @property
    def upload_policy(self) -> Uploads:
        """``uploads`` as given, else ``allow`` where only this machine can connect, ``known`` on a network address."""
        return self.uploads or ("allow" if all(address.is_unix for address in self.addresses) else "known")
