"""One run: the load goes on while faults come and go, and memory and descriptors are sampled."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.chaos.clients import ChaosClients, ChaosRequest
from benchmarks.chaos.faults import FAULTS
from benchmarks.chaos.schedules import SCHEDULES, ChaosStep, drawn
from benchmarks.chaos.stage import NAP, Stage, StagePlan, started
from benchmarks.programs import ChaosConfig
from benchmarks.texts import generated
from loadkit.usage import descriptors, resident_mib

_TEXTS = 50
_WHEN = "names need the kind tcp or grpc, and slow and hung agents the model nap"
_SAMPLE_S = 1.0
#: Seconds after a fault within which the function has to have all agents ready again, and those
#: that the load goes on after the last.
_BACK_S, _AFTER_S = 30.0, 1.0


class NotHere(Exception):
    """A schedule's faults cannot be had in this run; the message says why."""


@dataclass(frozen=True)
class FaultWindow:
    """When a fault was there (monotonic seconds), and until when the function did not have all agents ready.

    ``back``: infinity where it did not have them in time.
    """

    step: ChaosStep
    began: float
    over: float
    back: float


@dataclass
class ChaosResult:
    """What happened. ``sizes``: of each process, resident MiB and descriptors once a second."""

    seconds: float = 0.0
    without: list[str] = field(default_factory=list)
    windows: list[FaultWindow] = field(default_factory=list)
    requests: list[ChaosRequest] = field(default_factory=list)
    sizes: dict[str, list[tuple[float, int]]] = field(default_factory=dict)


def measure(config: ChaosConfig, log: Callable[[str], None]) -> ChaosResult:
    """Runs a schedule. Raises ``TimeoutError`` where a process does not start, and `NotHere`."""
    result = ChaosResult()
    named = SCHEDULES.get(config.schedule) if config.schedule else None
    plan = StagePlan(config.address_kind, config.agents, config.model, config.limit, config.seed, named.absent if named else ())
    with tempfile.TemporaryDirectory(prefix="chaos") as folder, started(plan, Path(folder)) as stage:

        def has(need: str) -> bool:
            return {"name": stage.hosts is not None, "engine": config.model == NAP}.get(need, True)

        result.without = [name for name, fault in FAULTS.items() if not has(fault.needs)]
        if stage.without_names:
            log(f"without names: {stage.without_names}")
        if named and (lacking := [step.fault for step in named.steps if step.fault in result.without]):
            raise NotHere(
                f"{config.schedule} needs {', '.join(lacking)}, which cannot be had here: {stage.without_names or _WHEN}"
            )
        steps: Iterable[ChaosStep] = named.steps if named else drawn(config.seed, config.agents, has)
        clients = ChaosClients(("127.0.0.1", stage.port), config.clients, generated(_TEXTS), config.limit)
        clients.learn()
        began = time.monotonic()
        end = None if named else began + config.duration
        with _sampled(stage, result.sizes), clients:
            for step in steps:
                if end is not None and time.monotonic() + step.calm + step.seconds > end:
                    break
                time.sleep(step.calm)
                log(f"{time.monotonic() - began:6.1f} s: {step.fault}, agent {step.agent}, {step.seconds:g} s")
                result.windows.append(_done(stage, step))
            time.sleep(_AFTER_S)
        result.seconds = time.monotonic() - began
        result.requests = clients.done
    return result


def _done(stage: Stage, step: ChaosStep) -> FaultWindow:
    began = time.monotonic()
    FAULTS[step.fault].act(stage, step.agent, step.seconds + step.beyond * stage.plan.limit)
    over = time.monotonic()
    back = time.monotonic() if stage.wait_ready(stage.plan.agents, _BACK_S) else float("inf")
    return FaultWindow(step, began, over, back)


@contextlib.contextmanager
def _sampled(stage: Stage, sizes: dict[str, list[tuple[float, int]]]) -> Iterator[None]:
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(_SAMPLE_S):
            for name, pid in stage.pids().items():
                # It may have ended since; a process that has just ended has no memory.
                with contextlib.suppress(OSError, StopIteration):
                    sizes.setdefault(name, []).append((resident_mib(pid), descriptors(pid)))

    sampler = threading.Thread(target=run, daemon=True)
    sampler.start()
    try:
        yield
    finally:
        ended.set()
        sampler.join()


def within(requests: Sequence[ChaosRequest], windows: Sequence[FaultWindow]) -> list[ChaosRequest]:
    """The requests of which some part was in one of the windows."""
    return [
        each
        for each in requests
        if any(each.began < window.back and each.began + each.seconds > window.began for window in windows)
    ]
