"""Where the time goes under load: ``python -m benchmarks.profile``.

Flame graphs of the function and the agent, and which of their parts hold Python's lock.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import click

from benchmarks import load, targets
from benchmarks.programs import ProfileConfig
from benchmarks.texts import generated, single
from vaccel_common.commandline import Program, options

_RATE = 100
#: Part -> path fragments; a sample belongs to the part of the innermost frame that matches one.
_PARTS = {
    "torch": ("agent/engines", "torch/"),
    "messages": ("wire.py", "tensorfields.py", "_pb2", "tensors.py", "frames.py"),
    "batcher": ("agent/batching/",),
    "transport": ("transports/", "channels/", "selectors.py", "asyncio/"),
    "service": ("service.py", "regions.py", "sessions.py", "endpoints.py", "layout.py"),
    "metrics, log": ("metrics.py", "prometheus_client", "logging/"),
    "tokenizer": ("tokens.py", "tokenizers/"),
    "HTTP": ("uvicorn", "function/server/", "flask/", "werkzeug/", "web/"),
}


@click.command(cls=Program, context_settings={"show_default": True, "max_content_width": 120})
@options(ProfileConfig)
def main(**values: Any) -> None:
    """Puts a function and its agent under load, and samples the stacks of both 100 times a
    second.
    """
    config = ProfileConfig(**values)
    out, clients, seconds = config.out, config.clients, config.seconds
    out.mkdir(parents=True, exist_ok=True)
    with targets.ours("unix").run() as running:
        messages = single(running.path, [(text, 0) for text in generated(600)])
        job = load.LoadJob(list(running.ports), messages, clients, 4 * seconds + 10)
        sender = threading.Thread(target=load.run, args=(job,))
        sender.start()
        for name, (pid, *_) in running.pids.items():
            _record(pid, seconds, out / f"{name}.svg", f"{name}, {clients} clients", "-f", "flamegraph", "--function")
            stacks_file = out / f"{name}.gil"
            _record(pid, seconds, stacks_file, "", "-f", "raw", "--gil", "--threads")
            _print_shares(name, stacks_file.read_text().splitlines())
            stacks_file.unlink()
        sender.join()


def _record(pid: int, seconds: int, out: Path, title: str, *options: str) -> None:
    spy = str(Path(sys.executable).with_name("py-spy"))
    command = [spy, "record", "-p", str(pid), "-d", str(seconds), "-r", str(_RATE), "-o", str(out), *options]
    subprocess.run(command, check=True, capture_output=True)
    out.write_text(out.read_text().replace(" ".join(command), title))


def _print_shares(name: str, stacks: list[str]) -> None:
    # The share of time in which it is held is unknown: where the cores are busy, the sampler waits
    # for them too.
    parts: Counter[str] = Counter()
    threads: Counter[str] = Counter()
    for stack in stacks:
        frames, _, count = stack.rpartition(" ")
        thread, *inner = frames.split(";")
        parts[_part(inner)] += int(count)
        threads["worker" if "worker" in thread else "main" if "Main" in thread else "other"] += int(count)
    total = sum(parts.values())
    print(f"{name}: {total} samples in which a thread holds the lock")
    for counted in (threads, parts):
        print("  " + ", ".join(f"{part} {count / total:.0%}" for part, count in counted.most_common()))


def _part(frames: list[str]) -> str:
    for frame in reversed(frames):
        for part, signs in _PARTS.items():
            if any(sign in frame for sign in signs):
                return part
    return "other"


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.profile")
