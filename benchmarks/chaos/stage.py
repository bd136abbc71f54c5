"""The processes of a run: agents, the links to some of them, and the function on all."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.chaos.engine import MOOD
from benchmarks.chaos.faultylink import FaultyLink, Place
from benchmarks.chaos.names import AGENTS_NAME, HostsFile
from benchmarks.forked import Forked
from loadkit.processes import ROOT, ended, free_port, spawn, wait_for
from loadkit.servers import function_settings

#: The most agents of a run, of which every second is reached through a link of the tool's.
MAX_AGENTS = 4
NAP = "nap"
_END_S = 30.0
_POLL_S = 0.05
#: Characters of each log that are repeated where something does not start.
_SAID = 500


@dataclass(frozen=True)
class StagePlan:
    """What runs. ``kind``: the addresses' scheme. ``model``: of the store in models/, or `NAP`.

    ``limit``: REQUEST_TIMEOUT_S. ``absent``: agents that are not there when the function starts.
    """

    kind: str
    agents: int
    model: str
    limit: float
    seed: int
    absent: tuple[int, ...] = ()


@dataclass
class Slot:
    """An agent's place: the address that it listens on, its mood's file, the process that is there now."""

    address: str
    mood: Path
    link: FaultyLink | None
    process: Forked | None = None
    metrics: int = field(default_factory=free_port)


class Stage:
    """The processes, in ``folder`` with their logs; use it as `started` does."""

    def __init__(self, plan: StagePlan, folder: Path) -> None:
        self.plan, self._folder = plan, folder
        self._port = free_port()
        self.hosts: HostsFile | None = None
        #: Why the function is given a list and no name, where it is not for the kind of address.
        self.without_names = ""
        if "unix" not in plan.kind:
            hosts = HostsFile(folder)
            self.without_names = hosts.refusal()
            self.hosts = None if self.without_names else hosts
        store = folder / "store"
        store.mkdir()
        (store / f"{NAP}.nap").write_text("{}")
        own = plan.model == NAP
        self._options = ["--models", str(store if own else ROOT / "models"), "--preload", plan.model, "--log-level", "warn"]
        self._options += ["--plugin", "benchmarks.chaos.engine"] if own else ["--threads", "1"]
        self.slots = [self._slot(number) for number in range(MAX_AGENTS)]
        self.function: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def start(self, number: int, *options: str) -> None:
        """Starts an agent, and returns when it is ready."""
        slot = self.slots[number]
        given = ("-a", slot.address, "--metrics-address", f"127.0.0.1:{slot.metrics}", *self._options, *options)
        # Agents that import torch, each anew, would take a core of the machine for seconds.
        slot.process = Forked(given, self._folder / f"agent-{number}.log", {**os.environ, MOOD: str(slot.mood)})
        wait_for(slot.metrics, "/readyz")

    def end(self, number: int, sig: int = signal.SIGTERM) -> None:
        """Ends an agent by a signal, and returns when it has ended."""
        process = self.slots[number].process
        if process is None:
            return
        process.send_signal(sig)
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.slots[number].process = None

    def say(self, numbers: Sequence[int]) -> None:
        """The agents that the name stands for from now on; nothing where there is no name."""
        if self.hosts:
            self.hosts.say(_host(number) for number in numbers)

    def mood(self, number: int, **mood: object) -> None:
        """An agent's mood from now on; see `benchmarks.chaos.engine`."""
        new = self.slots[number].mood.with_suffix(".new")
        new.write_text(json.dumps(mood))
        new.replace(self.slots[number].mood)

    def ready(self) -> int:
        """How many agents the function has ready; -1 where it does not say."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", headers={"Accept": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                agents = json.load(answer)["agents"]
        except (OSError, ValueError, LookupError):
            return -1
        return sum(agent["state"] == "ready" for agent in agents)

    def wait_ready(self, count: int, seconds: float) -> bool:
        """Waits until the function has so many agents ready; whether it had."""
        end = time.monotonic() + seconds
        while self.ready() != count:
            if time.monotonic() > end:
                return False
            time.sleep(_POLL_S)
        return True

    def pids(self) -> dict[str, int]:
        """The processes that run now."""
        running = {f"agent {number}": slot.process for number, slot in enumerate(self.slots)}
        return {name: process.pid for name, process in [("function", self.function), *running.items()] if process}

    def begin(self, stack: contextlib.ExitStack) -> None:
        """Starts everything; ``stack`` ends it. Raises ``TimeoutError``."""
        stack.callback(self._close)
        present = [number for number in range(self.plan.agents) if number not in self.plan.absent]
        self.say(range(self.plan.agents))
        for number in present:
            self.start(number)
        log = stack.enter_context((self._folder / "function.log").open("wb"))
        limits = {"REQUEST_TIMEOUT_S": f"{self.plan.limit:g}", "AGENT_WAIT_S": f"{self.plan.limit - 1:g}", "LOG_LEVEL": "warn"}
        model = {"MODEL": NAP, "TOKENIZER": str(ROOT / "function/tweets.tokenizer")} if self.plan.model == NAP else {}
        wrapper = self.hosts.wrapper if self.hosts else []
        env = function_settings(self._addresses(), self.port, {**limits, **model})
        self.function = stack.enter_context(ended(spawn([*wrapper, sys.executable, "-m", "function"], env, output=log)))
        wait_for(self.port, "/health/readiness")
        if not self.wait_ready(len(present), 30):
            raise TimeoutError(f"the function did not reach {len(present)} agents")

    def _addresses(self) -> str:
        if self.hosts:
            return f"{self.plan.kind}://{AGENTS_NAME}:{self._port}"
        return ",".join(f"{self.plan.kind}://{_shown(self._front(number))}" for number in range(MAX_AGENTS))

    def _slot(self, number: int) -> Slot:
        front, mood = self._front(number), self._folder / f"mood-{number}.json"
        if number % 2 == 0:
            return Slot(f"{self.plan.kind}://{_shown(front)}", mood, None)
        back: Place = f"{front}.behind" if isinstance(front, str) else (front[0], free_port())
        return Slot(f"{self.plan.kind}://{_shown(back)}", mood, FaultyLink(front, back, self.plan.seed + number))

    def _front(self, number: int) -> Place:
        return f"{self._folder}/{number}.sock" if "unix" in self.plan.kind else (_host(number), self._port)

    def _close(self) -> None:
        for number, slot in enumerate(self.slots):
            if slot.process:
                slot.process.send_signal(signal.SIGCONT)
            self.mood(number)
            self.end(number)
            if slot.link:
                slot.link.close()


@contextlib.contextmanager
def started(plan: StagePlan, folder: Path) -> Iterator[Stage]:
    """A stage whose function has reached the agents that are present. Raises ``TimeoutError``."""
    stage = Stage(plan, folder)
    with contextlib.ExitStack() as stack:
        try:
            stage.begin(stack)
        except TimeoutError as error:
            said = "".join(f"\n{log.name}: {log.read_text()[-_SAID:]}" for log in sorted(folder.glob("*.log")))
            raise TimeoutError(f"{error}{said}") from None
        yield stage


def _host(number: int) -> str:
    """An address of this machine for each agent, other than localhost, which would be one."""
    return f"127.0.0.{2 + number}"


def _shown(place: Place) -> str:
    return place if isinstance(place, str) else f"{place[0]}:{place[1]}"
