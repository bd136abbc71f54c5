"""Fuzzes the function's HTTP framing: ``python -m benchmarks.httpfuzz --messages 1000000``; exit code 1 if anything is wrong."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click

from benchmarks.httpfuzz.client import FuzzClient
from benchmarks.httpfuzz.log import Log
from benchmarks.httpfuzz.streams import Failure, FuzzStream, minimized, streams
from benchmarks.lines import tiny
from loadkit import servers
from loadkit.processes import raise_file_limit
from loadkit.usage import growth, resident_mib

_READ_TIMEOUT_S, _KEEP_ALIVE_S = 2, 4
#: Seconds after which a connection that should have ended is a failure: the longer of both, and a busy machine's delay.
_LIMIT_S = 10.0
_SHOWN = 12


@dataclass
class FuzzTarget:
    """A server that is fuzzed; its process and its log, if they are ours; its memory so far in MiB."""

    port: int
    process: subprocess.Popen[bytes] | None = None
    log: Log | None = None
    sizes: list[float] = field(default_factory=list)

    def look(self) -> str:
        """Looks through the log and at the memory; what to say of it."""
        if not self.process or not self.log:
            return "no process of ours"
        self.log.look()
        if self.process.poll() is not None:
            return "the function has ended"
        self.sizes.append(resident_mib(self.process.pid))
        return f"{self.sizes[-1]:.1f} MiB"

    def wrong(self) -> list[str]:
        """What must not be in the log, whether the process has ended or grown."""
        found = [f"log: {count} {name}" for name, count in self.log.found.items()] if self.log else []
        if self.process and self.process.poll() is not None:
            found.append(f"the function has ended with {self.process.returncode}")
        if self.sizes:
            text, flat = growth(self.sizes)
            print(text)
            if not flat:
                found.append("the function's memory has grown")
        return found


@click.command(context_settings={"show_default": True})
@click.option("--messages", default=1_000_000, help="Mutated requests; each stream of them ends with one more, the canary.")
@click.option("--seconds", default=3600.0, help="After which nothing more is sent.")
@click.option("--seed", default=1)
@click.option("--first", default=0, help="The number of the first message, to repeat some of a seed.")
@click.option("--depth", default=6, help="Messages that are sent one behind the other without waiting, at most.")
@click.option("--connections", default=48)
@click.option("--port", help="Of an HTTP server that runs already; its log and memory are not looked at.", type=int)
def main(messages: int, seconds: float, seed: int, first: int, depth: int, connections: int, port: int | None) -> None:
    """Sends mutated requests to a function and an agent of its own, and holds the answers to the oracle."""
    raise_file_limit()
    with contextlib.nullcontext(FuzzTarget(port)) if port else _function() as target:
        client = FuzzClient(target.port, _LIMIT_S, connections, seconds=seconds)
        print(f"seed {seed}, messages {first} to {first + messages - 1}; {target.look()}", flush=True)
        began, every = time.monotonic(), max(1000, messages // 50)
        following = every

        def told(done: int) -> None:
            nonlocal following
            if done >= following:
                following += every
                rate = done / (time.monotonic() - began)
                print(f"{done} messages, {rate:.0f}/s, {len(client.failures)} failures; {target.look()}", flush=True)

        client.progress = told
        client.run(streams(seed, first, messages, depth))
        target.look()
        wrong = _report(client, target, time.monotonic() - began, seed)
        sys.exit(int(wrong or bool(client.failures)))


@contextlib.contextmanager
def _function() -> Iterator[FuzzTarget]:
    """A function with short limits, on an agent with a model that costs nothing."""
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
    """Says what happened; whether the process or its log have something wrong."""
    counts = client.counts
    print(f"{counts['messages']} messages in {seconds:.0f} s, {counts['messages'] / seconds:.0f}/s")
    print("answers:", ", ".join(f"{status}: {count}" for status, count in sorted(client.statuses.items())))
    for name, count in sorted(counts.items()):
        print(f"  {name}: {count}")
    wrong = target.wrong()
    kinds: dict[str, Failure] = {}
    for failure in client.failures:
        kinds.setdefault(failure.kind, failure)
    for failure in list(kinds.values())[:_SHOWN]:
        _show(failure, client, seed)
    print(*(target.log.shown if target.log else ()), sep="\n")
    print(f"{len(client.failures)} failures; {', '.join(wrong) or 'nothing in the log, memory is flat'}")
    return bool(wrong)


def _show(failure: Failure, client: FuzzClient, seed: int) -> None:
    again = FuzzClient(client.port, client.limit)

    def fails(stream: FuzzStream) -> bool:
        again.failures.clear()
        again.run([stream])
        return any(found.kind == failure.kind for found in again.failures)

    stream, least = failure.stream, minimized(failure, fails)
    count = sum(other.kind == failure.kind for other in client.failures)
    print(f"\n{count} times: {failure.wrong}")
    print(f"  --seed {seed} --first {stream.first} --messages {stream.cases}, cut: {stream.cut}")
    print(f"  bytes: {_literal(least)}\n  answered: {_literal(failure.got)}")


def _literal(data: bytes) -> str:
    return repr(data) if len(data) < 3000 else f"{data[:2000]!r} ... {data[-500:]!r} ({len(data)} bytes)"


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.httpfuzz")
