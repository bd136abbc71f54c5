"""The agent's options, each declared once; `agent.__main__` makes its command line of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.engines.contract import UPLOAD_MEMORY
from agent.imaging.labels import read_labels
from agent.store.aliasfile import FILE_NAME
from agent.upstream_options import ALL_KEYS, VaccelConfig, rust_log, vaccel_config
from vaccel_common import log
from vaccel_common.kinds import Choice, Flag, Many, Parsed, PathTo, Text
from vaccel_common.number_kinds import Integer, Number, seconds
from vaccel_common.options import ConfigError, option
from vaccel_rpc.addresses import DEFAULT, Address, AddressError, parse
from vaccel_rpc.channels import Tls

Uploads = Literal["allow", "data", "known", "deny"]
Precision = Literal["auto", "exact", "fast", "registered"]

#: Of the variable of every option that does not name another.
VARIABLE_PREFIX = "VACCEL_AGENT_"
MIB = 1 << 20
MEGAPIXEL = 1_000_000
#: Where a checkout has the model that ships; an installed package has no such directory.
_SHIPPED = Path(__file__).parent.parent / "models"
_MAX_MESSAGE_MIB = 1024  # vAccel's own limit


def _host_port(text: str) -> tuple[str, int]:
    try:
        address = parse(f"tcp://{text}")
    except AddressError:
        raise ValueError("expected host:port, such as 127.0.0.1:9090") from None
    return address.host, address.port


@dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """The agent's settings; sizes in bytes, times in seconds.

    Raises `ConfigError` when built from an invalid combination.
    """

    addresses: tuple[Address, ...] = option(
        Many(Parsed(parse, "ADDRESS", "an address")), (parse(DEFAULT),), flags=("-a", "--server-address"),
        variables=("VACCEL_RPC_LISTEN", "VACCEL_AGENT_SERVER_ADDRESS"),
        help="Where to listen, repeatable: unix://, tcp:// and vsock:// speak ttrpc; grpc:// and grpc+unix:// speak gRPC.",
        choose="Use unix:// beside a function in its pod, tcp:// or grpc:// for other pods.",
    )  # fmt: skip
    models: Path | None = option(
        PathTo(), help="The model store: a directory of NAME.pt, NAME.pt2 and NAME.onnx.", shown="models/ of a checkout, else none",
        choose="Name a directory wherever the agent serves more than the model that ships.",
    )  # fmt: skip
    aliases: Path | None = option(
        PathTo(), shown="aliases.json of the model store", help="Aliases of models: a JSON file, followed while the agent runs.",
        choose="Name a file elsewhere where the store cannot change, such as that of a ConfigMap.",
    )  # fmt: skip
    preload: tuple[str, ...] = option(
        Many(Text("NAME"), None), (), help="A model to load and warm up before the agent is ready; repeatable, or 'all'.",
        choose="Without it, the first request of each model waits until it is loaded.",
    )  # fmt: skip
    uploads: Uploads | None = option(
        Choice[Uploads](("allow", "data", "known", "deny")), shown="known; allow if all addresses are unix sockets",
        help="Model bytes from clients: run any; ONNX files that are data, and models of the store; models of the store alone; or "
        "none.",
        choose="A TorchScript or .pt2 model is a program: allow it only for clients that you trust.",
    )  # fmt: skip
    precision: Precision = option(
        Choice[Precision](("auto", "exact", "fast", "registered")), "exact",
        help="Run the quickest file of the store with the answers of the model that was requested, its fastest variant (on a GPU the "
        "file itself in half precision), or that very file (registered); auto: a bf16 variant alone, where it agreed on 999 of 1000 "
        "texts.",
        choose="Take fast only after a check of its labels on texts of your own.",
    )  # fmt: skip
    plugins: tuple[str, ...] = option(
        Many(Text("MODULE"), None),
        (),
        flags=("--plugin",),
        variables=("VACCEL_AGENT_PLUGIN", "VACCEL_AGENT_PLUGINS"),
        help="A module with one more engine, for files of its own suffix; repeatable.",
    )
    labels: tuple[str, ...] | None = option(
        Parsed(read_labels, "FILE", "a text file"), variables=("VACCEL_TORCH_LABELS", "VACCEL_AGENT_LABELS"), shown="none",
        help="Labels for models that classify images and have none in their file: a text file, one label a line.",
    )  # fmt: skip
    device: str = option(
        Text("auto|cpu|cuda[:N]"),
        "auto",
        help="The device that engines run on; auto: a GPU if there is one.",
        choose="cuda:1 is the second GPU.",
    )
    threads: int | None = option(
        Integer(1),
        help="Cores on a CPU.",
        shown="all cores the process may use",
        choose="Leave cores for what else runs in the pod.",
    )
    max_batch: int = option(
        Integer(1), 64, help="Rows run together at most; the agent runs fewer where more would gain nothing.",
        choose="It is a ceiling: the agent measures what a batch costs when a model loads.",
    )  # fmt: skip
    max_delay: float = option(
        Number(minimum=0, unit=0.001, placeholder="MILLISECONDS"), 0.0, flags=("--max-delay-ms",),
        help="How long a free worker waits for more requests to join a batch.",
        choose="Leave it at 0 unless clients send few requests at a time and throughput matters more than latency.",
    )  # fmt: skip
    max_queue: int = option(
        Integer(1), 1024, help="Texts in the queue; one more is RESOURCE_EXHAUSTED.",
        choose="Divide by the texts per second that the agent runs: that is the longest wait.",
    )  # fmt: skip
    max_queue_tokens: int = option(Integer(1), 128 << 10, help="Tokens in the queue; one more is RESOURCE_EXHAUSTED.")
    max_message: int = option(
        Integer(1, _MAX_MESSAGE_MIB, MIB, "MiB"), _MAX_MESSAGE_MIB * MIB, help="The largest message.",
        choose="Lower it where no client uploads a model.",
    )  # fmt: skip
    max_image: int = option(Integer(1, _MAX_MESSAGE_MIB, MIB, "MiB"), 16 * MIB, help="The largest image to classify.")
    max_image_pixels: int = option(
        Integer(1, 1000, MEGAPIXEL, "MEGAPIXELS"), 24 * MEGAPIXEL, help="The pixels of an image.",
        choose="Decoding takes up to 30 MB of memory for each megapixel, for all clients together.",
    )  # fmt: skip
    max_buffer: int = option(
        Integer(1, None, MIB, "MiB"), 2048 * MIB, help="Memory for the requests of all clients, and for responses that they have not read.",
        choose="With the models it has to fit the container's memory limit.",
    )  # fmt: skip
    max_uploads: int = option(
        Integer(1, None, MIB, "MiB"), 8192 * MIB,
        help="Disk space for uploaded models, until they leave memory; those that nobody has registered leave for another upload.",
    )  # fmt: skip
    max_upload_memory: int = option(
        Integer(256, None, MIB, "MiB"), UPLOAD_MEMORY,
        help="Memory for a process that tries or runs an ONNX model that a client sent, beside four times its size; also for all idle ones.",
        choose="With one for each worker, and the models, it has to fit the container's memory limit.",
    )  # fmt: skip
    max_sessions: int = option(Integer(1), 1024, help="Open sessions.")
    max_connections: int = option(Integer(1), 1024, help="Open ttrpc connections.")
    max_models: int = option(
        Integer(1), 16, help="Models in memory; for one more, the model unused for longest is unloaded.",
        choose="Where models differ in size, rather limit their memory.",
    )  # fmt: skip
    max_model_memory: int | None = option(
        Integer(1, None, MIB, "MiB"), shown="no limit", help="Memory for all models; for one more, those unused for longest are unloaded.",
        choose="Leave room beside it for requests and for loading, which takes up to twice a model's memory for a moment.",
    )  # fmt: skip
    idle_model: float = option(
        seconds(minimum=0), 60.0, flags=("--idle-model-s",),
        help="Seconds without a run after which a registered model may be unloaded for another one; its next run loads it again.",
        choose="Raise it where a model that takes long to load must not leave between two requests.",
    )  # fmt: skip
    idle_session: float = option(
        seconds(), 3600.0, flags=("--idle-session-s",), help="Seconds after which an unused session ends."
    )
    grace: float = option(
        seconds(minimum=0), 10.0, flags=("--grace-s",), help="Seconds for running calls after SIGTERM.",
        choose="Keep it below the pod's terminationGracePeriodSeconds.",
    )  # fmt: skip
    max_run: float = option(
        seconds(maximum=86400), 60.0, flags=("--max-run-s",),
        help="Seconds for which one run of a model may hold a worker. Then the agent is ill: it is not ready, and ends with exit code "
        "70 within --grace-s. The default is three times the function's REQUEST_TIMEOUT_S (20), so that nobody waits any more.",
        choose="Keep it above the longest run of your models, and below the clients' limits, so that what waits is run elsewhere.",
    )  # fmt: skip
    max_load: float = option(
        seconds(maximum=86400), 600.0, flags=("--max-load-s",),
        help="Seconds that a model may take to load, with its trial run. Then the agent is ill, as by --max-run-s.",
        choose="Keep it above the time that your largest model takes, from the slowest disk.",
    )  # fmt: skip
    idle_probe: float = option(
        seconds(minimum=0, maximum=86400), 60.0, flags=("--idle-probe-s",),
        help="Seconds without a run after which a short example of a model is run, to notice a broken device or worker; 0: never.",
        choose="An example takes as long as a lone short request.",
    )  # fmt: skip
    metrics: tuple[str, int] | None = option(
        Parsed(_host_port, "HOST:PORT", "host:port", lambda pair: f"{pair[0]}:{pair[1]}"), flags=("--metrics-address",), shown="off",
        help="Where to serve Prometheus' /metrics, and /healthz and /readyz.",
    )  # fmt: skip
    admin: tuple[str, int] | None = option(
        Parsed(_host_port, "HOST:PORT", "host:port", lambda pair: f"{pair[0]}:{pair[1]}"), flags=("--admin-address",), shown="off",
        help="Where to list models over HTTP, by the paths of Triton's model repository extension.",
        choose="It has no access control: bind it to 127.0.0.1, or keep others from it by a NetworkPolicy.",
    )  # fmt: skip
    admin_writable: bool = option(
        Flag(), False, help="Models may be loaded and unloaded over the admin address, too.",
    )  # fmt: skip
    tls_cert: Path | None = option(PathTo(existing=True), help="The certificate (PEM) for TLS on the grpc:// addresses.")
    tls_key: Path | None = option(PathTo(existing=True), help="The certificate's key (PEM).")
    tls_ca: Path | None = option(
        PathTo(existing=True), help="An authority (PEM): clients must present a certificate that it signed.",
        choose="Use it wherever others share the network.",
    )  # fmt: skip
    log_format: log.Format = option(log.FORMAT, "text", help="Text as upstream's, or JSON lines.")
    log_level: log.Level | None = option(log.LEVEL, help="The least severe level to log.", shown="that of --rust-log, else info")
    rust_log: log.Level | None = option(
        Parsed(rust_log, "FILTER", "a filter"), variables=("RUST_LOG",), shown="none",
        help="Upstream's variable: a level, or a filter such as vaccel_rpc_agent=debug. --log-level takes precedence.",
    )  # fmt: skip
    vaccel_config: VaccelConfig = option(
        Parsed(vaccel_config, "K=V,...", "pairs"), VaccelConfig(), shown="none",
        help=f"Upstream's option, a comma-separated list; keys: {', '.join(ALL_KEYS)}. The first three have an effect, log_level "
        "before --log-level.",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.preload and self.store is None:
            raise ConfigError("--preload names models of the store: give --models DIR too")
        if self.aliases and self.store is None:
            raise ConfigError("--aliases stand for models of the store: give --models DIR too")
        if self.models is not None and not self.models.is_dir():
            raise ConfigError(f"--models {self.models}: no such directory")
        if self.admin_writable and self.admin is None:
            raise ConfigError("--admin-writable is about an address: give --admin-address too")
        if len(set(self.addresses)) != len(self.addresses):
            raise ConfigError("--server-address: the same address is given twice")
        self._check_tls()

    def _check_tls(self) -> None:
        if (self.tls_cert or self.tls_key or self.tls_ca) and not any(address.scheme == "grpc" for address in self.addresses):
            raise ConfigError("--tls-cert, --tls-key and --tls-ca are for grpc:// addresses; none is given")
        if (self.tls_cert is None) != (self.tls_key is None) or (self.tls_ca and not self.tls_cert):
            raise ConfigError("TLS needs both --tls-cert and --tls-key")
        if self.tls and (found := self.tls.problem()):
            raise ConfigError(f"--tls-{found.part} {found}")
        for address in self.addresses:
            if address.scheme == "grpcs":
                raise ConfigError(f"--server-address {address}: listen on grpc:// and give --tls-cert and --tls-key")

    @property
    def store(self) -> Path | None:
        """``models``; without it the directory of the model that ships, where this is a checkout."""
        return self.models or (_SHIPPED if any(_SHIPPED.glob("*.pt")) else None)

    @property
    def alias_file(self) -> Path | None:
        """``aliases``; without it the file of that name in the store, which need not exist."""
        return self.aliases or (self.store / FILE_NAME if self.store else None)

    @property
    def tls(self) -> Tls | None:
        """The files for TLS on the gRPC addresses."""
        if not self.tls_cert:
            return None
        return Tls(self.tls_ca, self.tls_cert, self.tls_key)

    @property
    def upload_policy(self) -> Uploads:
        """``uploads``, else ``known`` if clients may connect by a network, else ``allow``."""
        return self.uploads or ("allow" if all(address.is_unix for address in self.addresses) else "known")

    @property
    def effective_log_level(self) -> log.Level:
        """The level by the options that set it: upstream's own, ``log_level``, ``rust_log``."""
        return self.vaccel_config.log_level or self.log_level or self.rust_log or "info"
