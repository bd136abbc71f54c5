"""The options of the programs beside ``python -m benchmarks``, each declared once; nothing heavy is
imported here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.config import RunConfig, some_of
from loadkit.processes import ROOT
from vaccel_common import number_kinds
from vaccel_common.kinds import Choice, Flag, PathTo, Text
from vaccel_common.number_kinds import Integer
from vaccel_common.options import declared, option

ADDRESS_KINDS = ("unix", "tcp", "grpc", "grpc+unix")
SCHEDULE_NAMES = (
    *("first-record-dead", "killed-and-restarted", "told-to-end", "rolling-restart", "frozen-beyond-limit", "two-looping-models"),
    *("reconnect-after-refusals", "cut-within-frames", "name-flaps", "full-queue", "one-to-four"),
)
SLOW_PARTS = ("dripping", "deaf", "descriptors")
SERVER_NAMES = ("ours", "h11", "hypercorn", "granian-asgi", "granian-wsgi", "cheroot")


@dataclass(frozen=True, kw_only=True)
class ChaosConfig:
    """The options of ``python -m benchmarks.chaos``."""

    seed: int = option(Integer(0), 1, help="The seed of the schedule.", choose="Another one brings the faults in another order.")
    duration: float = option(
        number_kinds.seconds(), 600.0, help="How long the load lasts with faults that the seed draws.",
        choose="Every fault comes once in about a minute.",
    )  # fmt: skip
    clients: int = option(Integer(1, 256), 16, help="Clients, each of which sends its next text shortly after an answer.")
    agents: int = option(Integer(2, 4), 2, help="Agents that run while there is no fault; every second is behind a faulty link.")
    address_kind: str = option(
        Choice(ADDRESS_KINDS), "tcp", help="The kind of the agents' addresses; those of tcp and grpc come from a name.",
    )  # fmt: skip
    schedule: str | None = option(
        Choice(SCHEDULE_NAMES), help="A named schedule of past faults in place of one from the seed.", shown="from the seed"
    )
    list: bool = option(Flag(), False, help="Only list the named schedules.")
    model: str = option(
        Text("NAME"), "nap", help="The agents' model: nap only sleeps, and others are of models/.",
        choose="tweets runs the real model, which needs a core for each agent, and leaves out what only nap can do.",
    )  # fmt: skip
    limit: float = option(number_kinds.seconds(minimum=2), 5.0, help="REQUEST_TIMEOUT_S of the function.")

    @property
    def command(self) -> str:
        """The command that repeats the run."""
        values = [(each, getattr(self, each.name)) for each in declared(type(self)) if each.name != "list"]
        return " ".join(
            [
                "python -m benchmarks.chaos",
                *(f"{each.flag} {each.kind.show(value)}" for each, value in values if value is not None),
            ]
        )


@dataclass(frozen=True, kw_only=True)
class FuzzConfig:
    """The options of ``python -m benchmarks.fuzz``."""

    seconds: float = option(
        number_kinds.seconds(),
        600.0,
        help="How long the agent is attacked.",
        choose="A few seconds show gross faults; leaks take minutes.",
    )
    seed: int = option(Integer(0), 1, help="The seed of the attacks.", choose="Another one sends other bytes.")


@dataclass(frozen=True, kw_only=True)
class LinesConfig:
    """The options of ``python -m benchmarks.lines``."""

    lines: int = option(
        Integer(1),
        1_000_000,
        help="The number of lines to stream.",
        choose="Memory is sampled every 50,000 lines, so take several times that.",
    )


@dataclass(frozen=True, kw_only=True)
class PeersConfig:
    """The options of ``python -m benchmarks.peers``."""

    texts: Path | None = option(
        PathTo(existing=True),
        help="The texts of the run: of its other lines some calibrate the int8 forms, and some are compared.",
        choose="As for python -m benchmarks.",
        shown="generated texts",
    )


@dataclass(frozen=True, kw_only=True)
class ProfileConfig:
    """The options of ``python -m benchmarks.profile``."""

    clients: int = option(
        Integer(1), 32, help="Clients in a closed loop while the profiles are taken.", choose="Enough to keep the agent busy."
    )
    seconds: int = option(
        Integer(1, placeholder="SECONDS"),
        15,
        help="How long each of the four profiles is taken.",
        choose="More samples show smaller parts.",
    )
    out: Path = option(PathTo(), ROOT / "docs/performance", help="The folder of the flame graphs.", shown="docs/performance")


@dataclass(frozen=True, kw_only=True)
class HttpFuzzConfig:
    """The options of ``python -m benchmarks.httpfuzz``."""

    messages: int = option(
        Integer(1),
        1_000_000,
        help="Mutated requests; each stream of them ends with an unmutated one, the canary.",
        choose="3,000 take seconds; a million half an hour.",
    )
    seconds: float = option(
        number_kinds.seconds(),
        3600.0,
        help="The time after which nothing more is sent.",
        choose="A limit for runs with many messages.",
    )
    seed: int = option(Integer(0), 1, help="The seed of the mutations.", choose="Another one sends other bytes.")
    first: int = option(Integer(0), 0, help="The number of the first message.", choose="To repeat a failure, as its report says.")
    depth: int = option(
        Integer(1),
        6,
        help="The most messages that are sent one after another without waiting.",
        choose="1 shows whether pipelining matters.",
    )
    connections: int = option(
        Integer(1), 48, help="Connections in use at the same time.", choose="More finish sooner, until the machine is busy."
    )
    port: int | None = option(
        Integer(1, 65535),
        help="The port of an HTTP server to fuzz; its log and memory are not observed.",
        shown="a function that the fuzzer starts",
    )


@dataclass(frozen=True, kw_only=True)
class ServersConfig:
    """The options of ``python -m benchmarks.servers``."""

    only: tuple[str, ...] = option(some_of(SERVER_NAMES, "NAME,..."), SERVER_NAMES, help="The servers to compare.")
    clients: int = option(
        Integer(1),
        32,
        help="Clients, each of which sends its next request after a response.",
        choose="Enough to keep the server busy.",
    )
    seconds: float = option(
        number_kinds.seconds(), 4.0, help="How long each measurement lasts.", choose="Longer gives steadier figures."
    )
    warm: float = option(number_kinds.seconds(minimum=0), 1.0, help="How long the load lasts before the measurement.")
    rounds: int = option(
        Integer(1), 5, help="Starts and measurements of each server, in turn.", choose="More show how far figures scatter."
    )
    python: Path | None = option(
        PathTo(existing=True),
        help="The interpreter that runs the servers.",
        shown=".venv-servers's if it exists, else the current one",
    )


@dataclass(frozen=True, kw_only=True)
class SimulateConfig:
    """The options of ``python -m benchmarks.simulate``."""

    fit: bool = option(Flag(), False, help="First measure this machine: half a minute, with nothing else running.")
    cost: Path = option(
        PathTo(), ROOT / "build/bench/cost.json", help="The file of the cost model.", shown="build/bench/cost.json"
    )
    workers: int | None = option(Integer(1), help="Batches that run at the same time.", shown="the number of cores")
    requests: int = option(Integer(100), 3000, help="Requests in each scenario.", choose="3,000 are enough for a steady p99.")
    texts: Path | None = option(
        PathTo(existing=True), help="A file whose texts give the lengths.", shown="lengths distributed as those of tweets"
    )
    longest: int = option(
        Integer(1),
        512,
        help="Tokens of the long texts, one in ten, in the last scenario.",
        choose="The length at which your model truncates.",
    )
    only: str | None = option(Text("NAME"), help="Only the scenarios whose name contains this.", shown="all")
    as_json: bool = option(Flag(), False, flags=("--json",), help="Print JSON instead of tables.")


@dataclass(frozen=True, kw_only=True)
class SlowConfig:
    """The options of ``python -m benchmarks.slow``; times in seconds."""

    only: tuple[str, ...] = option(some_of(SLOW_PARTS), SLOW_PARTS, help="The parts to measure.")
    slow: int = option(
        Integer(1),
        1000,
        help="Clients that send one byte a second and connect again when they are disconnected.",
        choose="Many more than the function's threads.",
    )
    deaf: int = option(
        Integer(1), 128, help="Clients that request much and read nothing.", choose="At least the function's threads."
    )
    normal: int = option(Integer(1), 8, help="Normal clients, each of which sends its next text after a response.")
    seconds: float = option(
        number_kinds.seconds(), 6.0, help="How long each measurement lasts, with and without the slow clients."
    )
    rounds: int = option(
        Integer(1),
        5,
        help="How often the measurements with and without slow clients take turns.",
        choose="More show how far figures scatter.",
    )
    read_timeout: float = option(number_kinds.seconds(), 10.0, help="READ_TIMEOUT_S with the slow clients, which then get 408.")
    over: float = option(
        number_kinds.seconds(),
        10.0,
        help="The time over which the slow clients connect.",
        choose="As long as --read-timeout, so that their 408s are spread evenly.",
    )
    deaf_over: float = option(number_kinds.seconds(), 5.0, help="The time over which the deaf clients connect.")
    settle: float = option(
        number_kinds.seconds(minimum=0),
        10.0,
        help="The time in which responses fill the deaf clients' buffers, before the measurement.",
    )
    write_timeout: float = option(
        number_kinds.seconds(), 60.0, help="WRITE_TIMEOUT_S with the deaf clients, which then connect again."
    )
    files: int = option(Integer(16), 256, help="Descriptors that the function of the last part may open.")
    connections: int = option(
        Integer(1), 400, help="Connections that are opened to it.", choose="More than --files, so that descriptors run out."
    )


#: ``python -m NAME`` -> the settings class that declares its options.
PROGRAMS: dict[str, type[Any]] = {
    "benchmarks": RunConfig,
    "benchmarks.chaos": ChaosConfig,
    "benchmarks.fuzz": FuzzConfig,
    "benchmarks.httpfuzz": HttpFuzzConfig,
    "benchmarks.lines": LinesConfig,
    "benchmarks.peers": PeersConfig,
    "benchmarks.profile": ProfileConfig,
    "benchmarks.servers": ServersConfig,
    "benchmarks.simulate": SimulateConfig,
    "benchmarks.slow": SlowConfig,
}
