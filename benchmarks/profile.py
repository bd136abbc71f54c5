"""Where the time goes under load: ``python -m benchmarks.profile``.

Flame graphs of the function and the agent, and which of their threads and parts hold Python's lock.
"""

from __future__ import annotations

import threading
from typing import Any

import click

from benchmarks import load, stacks, targets
from benchmarks.programs import ProfileConfig
from benchmarks.texts import generated, single
from vaccel_common.commandline import ToolCommand, options


@click.command(cls=ToolCommand, context_settings={"show_default": True, "max_content_width": 120})
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
            stacks.flame_graph(pid, seconds, out / f"{name}.svg", f"{name}, {clients} clients")
            # The share of time in which the lock is held is unknown: where the cores are busy, the
            # sampler waits for them too.
            held = stacks.shares(pid, seconds, "--gil")
            print(f"{name}: " + ", ".join(f"{part} {share:.0%}" for part, share in held.items()))
        sender.join()


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.profile")
