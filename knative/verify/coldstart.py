"""Scaling to zero, and what the first requests after that get."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median

from knative.cluster.api import Cluster
from knative.cluster.errors import counted
from knative.cluster.objects import KNATIVE_SERVICE
from knative.look.functions import cold_start
from knative.verify import asking
from knative.verify.asking import CheckedResponse
from knative.verify.check import Check, VerifyPlan, failed, judged, passed, skipped
from knative.verify.ingress import Endpoint
from knative.verify.scale import Scale, least, service_at


@dataclass
class ColdStartTimes:
    """Seconds of the cold starts that were answered; ``baseline`` those of the service compared with."""

    ours: list[float] = field(default_factory=list)
    baseline: list[float] = field(default_factory=list)


def checks(plan: VerifyPlan, cluster: Cluster, tell: Callable[[str], None]) -> Iterator[Check]:
    """Scales to zero; then each cold start, a burst, and what they took."""
    scale, hello = Scale(cluster, plan.service, plan.idle, plan.poll, tell), _baseline(plan, cluster, tell)
    zero = _to_zero(plan, scale)
    yield zero
    if zero.result != "passed":
        yield skipped("cold starts", "it does not scale to zero")
        return
    times = ColdStartTimes()
    for number in range(1, plan.rounds + 1):
        yield _round(plan, scale, f"cold start {number} of {plan.rounds}", times)
        if isinstance(hello, Scale) and plan.baseline:
            yield _baseline_round(plan.baseline, hello, f"baseline's cold start {number} of {plan.rounds}", times)
    if plan.burst:
        yield _burst(plan, scale)
    yield hello if isinstance(hello, Check) else _summary(plan, times)


def _baseline(plan: VerifyPlan, cluster: Cluster, tell: Callable[[str], None]) -> Scale | Check | None:
    if plan.baseline is None:
        return None
    name = service_at(cluster, plan.baseline.url)
    if name is None:
        told = f"no Knative Service in namespace {cluster.namespace} has the URL {plan.baseline.url}: its scale cannot be seen"
        return failed("cold start against the baseline", told)
    return Scale(cluster, name, plan.idle, plan.poll, tell)


def _to_zero(plan: VerifyPlan, scale: Scale) -> Check:
    name, made = "scales to zero", scale.cluster.get(KNATIVE_SERVICE, plan.service)
    if made is None:
        return failed(name, f"there is no Knative Service {plan.service} in namespace {scale.cluster.namespace}; see --service")
    if least(made):
        return failed(name, f"its min-scale is {least(made)}: it always keeps pods")
    seconds = scale.until_none()
    if seconds is None:
        return failed(name, _left(scale), pods=len(scale.pods()))
    return passed(name, f"no pod {seconds:.0f} s after the last request", seconds=round(seconds, 3))


def _left(scale: Scale) -> str:
    return f"{counted(len(scale.pods()), 'pod')} left after {scale.limit:g} s; see --idle-timeout, and the pods' other callers"


def _round(plan: VerifyPlan, scale: Scale, name: str, times: ColdStartTimes) -> Check:
    if scale.until_none() is None:
        return failed(name, _left(scale))
    asked = asking.one(plan)
    pods = scale.pods()
    if asked.wrong is None and not pods:
        return failed(name, f"it was answered, but no pod of {scale.service} was started: is {plan.site.url} another service's?")
    starts = [start.seconds for pod in pods if (start := cold_start(pod))]
    if asked.wrong is None:
        times.ours.append(asked.seconds)
    pod = f"; pod ready after {starts[0]:.0f} s" if starts else ""
    return judged(name, asked.wrong, f"answered in {asked.seconds:.3f} s{pod}", seconds=round(asked.seconds, 3))


def _baseline_round(site: Endpoint, scale: Scale, name: str, times: ColdStartTimes) -> Check:
    if scale.until_none() is None:
        return failed(name, _left(scale))
    asked = asking.hello(site)
    if asked.wrong is None:
        times.baseline.append(asked.seconds)
    return judged(name, asked.wrong, f"answered in {asked.seconds:.3f} s", seconds=round(asked.seconds, 3))


def _burst(plan: VerifyPlan, scale: Scale) -> Check:
    name = f"{plan.burst} requests at once from zero"
    if scale.until_none() is None:
        return failed(name, _left(scale))
    with ThreadPoolExecutor(plan.burst) as pool:
        found: list[CheckedResponse] = list(pool.map(lambda _: asking.one(plan), range(plan.burst)))
    wrong = [asked.wrong for asked in found if asked.wrong]
    slowest = max(asked.seconds for asked in found)
    pods = len(scale.pods())
    figures = {"requests": plan.burst, "failed": len(wrong), "slowest_s": round(slowest, 3), "pods": pods}
    told = f"{len(wrong)} of {plan.burst} failed: {wrong[0]}" if wrong else None
    return judged(name, told, f"all answered, the slowest in {slowest:.3f} s, by {counted(pods, 'pod')}", **figures)


def _summary(plan: VerifyPlan, times: ColdStartTimes) -> Check:
    name = "cold start against the baseline" if plan.baseline else "cold start"
    if not times.ours or (plan.baseline and not times.baseline):
        return skipped(name, "no cold start was measured")
    ours = median(times.ours)
    told = f"median {ours:.3f} s of {len(times.ours)} ({min(times.ours):.3f} to {max(times.ours):.3f})"
    figures = {"median_s": round(ours, 3), "seconds": [round(one, 3) for one in times.ours]}
    if not times.baseline:
        return passed(name, told, **figures)
    theirs = median(times.baseline)
    figures |= {"baseline_median_s": round(theirs, 3), "extra_s": round(ours - theirs, 3)}
    told += f", baseline {theirs:.3f} s: {ours - theirs:+.3f} s"
    if plan.max_extra is not None and ours - theirs > plan.max_extra:
        return failed(name, f"{told}, more than --max-extra-s {plan.max_extra:g}", **figures)
    return passed(name, told, **figures)
