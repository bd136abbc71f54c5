"""Whether a load test has passed. No Locust: counts in, sentences out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from loadkit.stats import percentile_of_counts

#: Begin the names of what takes as long as the client wants: its time says nothing about the server.
UNTIMED = ("misbehaving", "stream")


@dataclass(frozen=True)
class PassCriteria:
    """What is still good; times in milliseconds, None: no limit."""

    fail_ratio: float = 0.0
    p95_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True)
class CriterionResult:
    """One figure against its limit, as a sentence."""

    says: str
    passed: bool


@dataclass(frozen=True)
class RequestCounts:
    """What a test has counted. ``times``: milliseconds -> requests that took so long, without the `UNTIMED`."""

    requests: int
    failures: int
    exceptions: int
    times: Mapping[int, int]


def timed(entries: Iterable[tuple[str, Mapping[int, int]]]) -> Counter[int]:
    """The times of all requests, by name, that a limit is about."""
    found: Counter[int] = Counter()
    for name, times in entries:
        if not name.startswith(UNTIMED):
            found.update(times)
    return found


def judge(counts: RequestCounts, limits: PassCriteria) -> list[CriterionResult]:
    """A verdict on each limit that was set, on whether anything was asked at all, and on users that broke."""
    if not counts.requests:
        return [CriterionResult("no request was made, which is no success", passed=False)]
    ratio = counts.failures / counts.requests
    verdicts = [
        CriterionResult(
            f"fail ratio {ratio:.4f} ({counts.failures} of {counts.requests}), limit --max-fail-ratio {limits.fail_ratio:g}",
            ratio <= limits.fail_ratio,
        )
    ]
    for name, share, limit in (("p95", 0.95, limits.p95_ms), ("p99", 0.99, limits.p99_ms)):
        if limit is not None:
            time = percentile_of_counts(counts.times, share)
            verdicts.append(CriterionResult(f"{name} {time} ms, limit --max-{name}-ms {limit:g}", time <= limit))
    if counts.exceptions:
        verdicts.append(CriterionResult(f"{counts.exceptions} exceptions in the load test itself, limit 0", passed=False))
    return verdicts
