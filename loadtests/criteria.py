"""Whether a load test has passed: counts in, sentences out. No Locust."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from loadkit.stats import percentile_of_counts

#: What the names of requests begin with that take as long as the client decides: their times say
#: nothing about the server.
UNTIMED = ("misbehaving", "stream")


@dataclass(frozen=True)
class PassCriteria:
    """The largest share of failures and the largest times in milliseconds of a test that passes;
    None: no limit.
    """

    fail_ratio: float = 0.0
    p95_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True)
class CriterionResult:
    """One figure against its limit, as a sentence."""

    text: str
    passed: bool


@dataclass(frozen=True)
class RequestCounts:
    """What a test has counted.

    ``times``: milliseconds -> requests that took so long, without the `UNTIMED` ones.
    """

    requests: int
    failures: int
    exceptions: int
    times: Mapping[int, int]


def timed(entries: Iterable[tuple[str, Mapping[int, int]]]) -> Counter[int]:
    """The times of all requests to which a limit applies; ``entries``: the times by
    request name.
    """
    total: Counter[int] = Counter()
    for name, times in entries:
        if not name.startswith(UNTIMED):
            total.update(times)
    return total


def evaluate(counts: RequestCounts, criteria: PassCriteria) -> list[CriterionResult]:
    """A result for each limit that is set, and one where nothing was requested or a user raised an
    exception.
    """
    if not counts.requests:
        return [CriterionResult("no request was made, so nothing has passed", passed=False)]
    ratio = counts.failures / counts.requests
    results = [
        CriterionResult(
            f"fail ratio {ratio:.4f} ({counts.failures} of {counts.requests}), limit --max-fail-ratio {criteria.fail_ratio:g}",
            ratio <= criteria.fail_ratio,
        )
    ]
    for name, share, limit in (("p95", 0.95, criteria.p95_ms), ("p99", 0.99, criteria.p99_ms)):
        if limit is not None:
            time = percentile_of_counts(counts.times, share)
            results.append(CriterionResult(f"{name} {time} ms, limit --max-{name}-ms {limit:g}", time <= limit))
    if counts.exceptions:
        results.append(CriterionResult(f"{counts.exceptions} exceptions in the load test itself, limit 0", passed=False))
    return results
