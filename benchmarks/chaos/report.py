"""The report of a run: what each fault cost, what was wrong, and whether processes stayed as they were."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from benchmarks.chaos.clients import ChaosRequest
from benchmarks.chaos.faults import FAULTS
from benchmarks.chaos.run import ChaosResult, FaultWindow, within
from benchmarks.markdown import table
from loadkit.stats import percentile

#: Seconds of a run below which the first tenth says nothing about memory.
_SHORTEST_S = 60.0
#: What a process may have in the last tenth for one that it had in the first, and beyond that: memory
#: settles, and of descriptors some belong to agents that a fault has just added.
_GROWTH = {"MiB of resident memory": (1.1, 16), "descriptors": (1.0, 8)}


def problems(result: ChaosResult) -> list[str]:
    """What was not as promised, in a line each; none where the run passes."""
    found = Counter(request.wrong for request in result.requests if request.wrong)
    found.update(
        f"status {request.status}, which no fault then explains"
        for request in result.requests
        if not request.wrong and request.status != 200 and request.status not in _explained(result, request)
    )
    lines = [f"{count:,} x {text}" for text, count in found.most_common()]
    lines += [
        f"after {window.step.fault} the function never had all agents again"
        for window in result.windows
        if math.isinf(window.back)
    ]
    if not any(request.status == 200 for request in result.requests):
        lines.append("no request was answered")
    return lines + ([line for name in result.sizes for line in _grown(result, name)] if result.seconds >= _SHORTEST_S else [])


def markdown(result: ChaosResult) -> str:
    """Tables of the faults and the processes."""
    head = (
        *("fault", "times", "requests meanwhile", "failed", "median, ms", "p99, ms", "slowest, ms"),
        "all agents ready again after, s",
    )
    kinds = {name: [window for window in result.windows if window.step.fault == name] for name in FAULTS}
    rows = [
        _row(f"{name}: {FAULTS[name].about}", within(result.requests, windows), windows)
        for name, windows in kinds.items()
        if windows
    ]
    during = set(map(id, within(result.requests, result.windows)))
    calm = [request for request in result.requests if id(request) not in during]
    processes = [(name, *_sizes(sizes)) for name, sizes in sorted(result.sizes.items())]
    sizes_head = ("process", "RSS, MiB: first tenth", "last tenth", "descriptors: first tenth", "last tenth")
    return "\n\n".join(
        [
            f"{len(result.requests):,} requests in {result.seconds:.0f} s, {len(result.windows)} faults.",
            table(head, [_row("none", calm, []), *rows]),
            table(sizes_head, processes),
        ]
    )


def _explained(result: ChaosResult, request: ChaosRequest) -> set[int]:
    """The codes that the faults around a request allow."""
    return {code for window in result.windows if within([request], [window]) for code in FAULTS[window.step.fault].codes}


def _row(name: str, requests: Sequence[ChaosRequest], windows: Sequence[FaultWindow]) -> list[str]:
    times = [1000 * request.seconds for request in requests]
    failed = Counter(request.wrong or str(request.status) for request in requests if request.wrong or request.status != 200)
    return [
        name,
        str(len(windows) or ""),
        f"{len(requests):,}",
        ", ".join(f"{count} x {text}" for text, count in failed.items()) or "0",
        *(f"{value:.0f}" for value in (percentile(times, 0.5), percentile(times, 0.99), max(times, default=math.nan))),
        f"{max(window.back - window.over for window in windows):.1f}" if windows else "",
    ]


def _tenths(values: Sequence[float]) -> tuple[float, float]:
    tenth = max(1, len(values) // 10)
    return max(values[:tenth]), max(values[-tenth:])


def _sizes(sizes: Sequence[tuple[float, int]]) -> list[str]:
    return [f"{value:.0f}" for column in zip(*sizes, strict=True) for value in _tenths(column)]


def _grown(result: ChaosResult, name: str) -> list[str]:
    lines = []
    for (what, (share, more)), column in zip(_GROWTH.items(), zip(*result.sizes[name], strict=True), strict=True):
        first, last = _tenths(column)
        if last > first * share + more:
            lines.append(f"{name}: {first:.0f} {what} in the first tenth, {last:.0f} in the last")
    return lines
