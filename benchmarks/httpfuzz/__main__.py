"""Fuzzes the function's HTTP framing: ``python -m benchmarks.httpfuzz --messages 1000000``; exit
code 1 if a fault is found.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from benchmarks.httpfuzz.client import FuzzClient
from benchmarks.httpfuzz.log import Log
from benchmarks.httpfuzz.streams import Failure, FuzzStream, minimized, streams
from benchmarks.lines import tiny
from benchmarks.programs import HttpFuzzConfig
from loadkit import servers
from loadkit.processes import raise_file_limit
from loadkit.usage import growth, resident_mib
from vaccel_common.commandline import ToolCommand, options

_READ_TIMEOUT_S, _KEEP_ALIVE_S = 2, 4
#: Seconds after which a connection that should have ended is a failure: the longer time limit, and
#: the delay of a busy machine.
_LIMIT_S = 10.0
_SHOWN = 12


@dataclass
class FuzzTarget:
    """A server that is fuzzed; its process and log where the fuzzer has started it; samples of its
    memory in MiB.
    """

    port: int
    process: subprocess.Popen[bytes] | None = None
    log: Log | None = None
    sizes: list[float] = field(default_factory=list)

    def inspect(self) -> str:
        """Inspects the log and the memory; a summary for the line of progress."""
        if not self.process or not self.log:
            return "not our process"
        self.log.inspect()
        if self.process.poll() is not None:
            return "the function has ended"
        self.sizes.append(resident_mib(self.process.pid))
        return f"{self.sizes[-1]:.1f} MiB"

    def faults(self) -> list[str]:
        """What must not be in the log, and whether the process has ended or its memory
        has grown.
        """
        faults = [f"log: {count} {name}" for name, count in self.log.counts.items()] if self.log else []
        if self.process and self.process.poll() is not None:
            faults.append(f"the function has ended with {self.process.returncode}")
        if self.sizes:
            text, flat = growth(self.sizes)
            print(text)
            if not flat:
                faults.append("the function's memory has grown")
        return faults


@click.command(cls=ToolCommand, context_settings={"show_default": True, "max_content_width": 120})
@options(HttpFuzzConfig)
def main(**values: Any) -> None:
    """Sends mutated requests to a function that it starts, and compares the responses with the
    oracle's expectations.
    """
    config = HttpFuzzConfig(**values)
    raise_file_limit()
    with contextlib.nullcontext(FuzzTarget(config.port)) if config.port else _function() as target:
        client = FuzzClient(target.port, _LIMIT_S, config.connections, seconds=config.seconds)
        last = config.first + config.messages - 1
        print(f"seed {config.seed}, messages {config.first} to {last}; {target.inspect()}", flush=True)
        began = time.monotonic()
        client.progress = _reporter(client, target, max(1000, config.messages // 50))
        client.run(streams(config.seed, config.first, config.messages, config.depth))
        target.inspect()
        faulty = _report(client, target, time.monotonic() - began, config.seed)
        sys.exit(int(faulty or bool(client.failures)))


def _reporter(client: FuzzClient, target: FuzzTarget, every: int) -> Callable[[int], None]:
    """Prints a line of progress whenever ``every`` more messages are done."""
    began, following = time.monotonic(), every

    def report(done: int) -> None:
        nonlocal following
        if done >= following:
            following += every
            rate = done / (time.monotonic() - began)
            print(f"{done} messages, {rate:.0f}/s, {len(client.failures)} failures; {target.inspect()}", flush=True)

    return report


@contextlib.contextmanager
def _function() -> Iterator[FuzzTarget]:
    """A function with short time limits, on an agent with a model that costs nothing."""
    with tempfile.TemporaryDirectory() as folder:
        model = tiny(Path(folder) / "tiny.pt")
        log = Log(Path(folder) / "function.log")
        env = {"MODEL": str(model), "MAX_BODY": str(32 << 10), "PYTHONUNBUFFERED": "1", "LOG_LEVEL": "info"}
        env |= {"READ_TIMEOUT_S": str(_READ_TIMEOUT_S), "KEEP_ALIVE_S": str(_KEEP_ALIVE_S)}
        with (
            servers.agent(models=folder, preload="tiny") as agent,
            log.path.open("ab") as output,
            servers.function(agent.address, env, output=output) as function,
        ):
            yield FuzzTarget(function.port, function.process, log)


def _report(client: FuzzClient, target: FuzzTarget, seconds: float, seed: int) -> bool:
    """Prints the result; whether the process or its log has a fault."""
    counts = client.counts
    print(f"{counts['messages']} messages in {seconds:.0f} s, {counts['messages'] / seconds:.0f}/s")
    print("answers:", ", ".join(f"{status}: {count}" for status, count in sorted(client.statuses.items())))
    for name, count in sorted(counts.items()):
        print(f"  {name}: {count}")
    faults = target.faults()
    kinds: dict[str, Failure] = {}
    for failure in client.failures:
        kinds.setdefault(failure.kind, failure)
    for failure in list(kinds.values())[:_SHOWN]:
        _show(failure, client, seed)
    print(*(target.log.shown if target.log else ()), sep="\n")
    print(f"{len(client.failures)} failures; {', '.join(faults) or 'no fault in the log, memory is flat'}")
    return bool(faults)


def _show(failure: Failure, client: FuzzClient, seed: int) -> None:
    again = FuzzClient(client.port, client.limit)

    def fails(stream: FuzzStream) -> bool:
        again.failures.clear()
        again.run([stream])
        return any(other.kind == failure.kind for other in again.failures)

    stream, smallest = failure.stream, minimized(failure, fails)
    count = sum(other.kind == failure.kind for other in client.failures)
    print(f"\n{count} times: {failure.fault}")
    print(f"  --seed {seed} --first {stream.first} --messages {stream.cases}, cut: {stream.cut}")
    print(f"  bytes: {_literal(smallest)}\n  response: {_literal(failure.received)}")


def _literal(data: bytes) -> str:
    return repr(data) if len(data) < 3000 else f"{data[:2000]!r} ... {data[-500:]!r} ({len(data)} bytes)"


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.httpfuzz")
