"""Checks that the function scales to zero, and what the first requests after that get."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median

from knative.cluster.api import Cluster
from knative.cluster.errors import counted
from knative.cluster.objects import KNATIVE_SERVICE
from knative.look.functions import cold_start
from knative.verify import classification
from knative.verify.check import Check, VerifyPlan, failed, judged, passed, skipped
from knative.verify.ingress import HttpTarget
from knative.verify.scale import Scale, min_scale, service_at


@dataclass
class ColdStartTimes:
    """The seconds of the cold starts that were answered; ``baseline``: those of the service to
    compare with.
    """

    ours: list[float] = field(default_factory=list)
    baseline: list[float] = field(default_factory=list)


def checks(plan: VerifyPlan, cluster: Cluster, note: Callable[[str], None]) -> Iterator[Check]:
    """Scales to zero; then checks each cold start and a burst, and sums up how long they took."""
    config = plan.config
    scale = Scale(cluster, config.service, config.idle_timeout, config.poll_s, note)
    baseline = _baseline(plan, cluster, note)
    zero = _to_zero(plan, scale)
    yield zero
    if zero.result != "passed":
        yield skipped("cold starts", "the function does not scale to zero")
        return
    times = ColdStartTimes()
    for number in range(1, config.cold_starts + 1):
        yield _round(plan, scale, f"cold start {number} of {config.cold_starts}", times)
        if isinstance(baseline, Scale) and plan.baseline:
            name = f"baseline's cold start {number} of {config.cold_starts}"
            yield _baseline_round(plan.baseline, baseline, name, times)
    if config.burst:
        yield _burst(plan, scale)
    yield baseline if isinstance(baseline, Check) else _summary(plan, times)


def _baseline(plan: VerifyPlan, cluster: Cluster, note: Callable[[str], None]) -> Scale | Check | None:
    """The scale of the service to compare with, or the check that fails because it cannot be
    observed.
    """
    if plan.baseline is None:
        return None
    service = service_at(cluster, plan.baseline.url)
    if service is None:
        namespace = cluster.namespace
        detail = f"no Knative Service in namespace {namespace} has the URL {plan.baseline.url}: its scale cannot be observed"
        return failed("cold start against the baseline", detail)
    return Scale(cluster, service, plan.config.idle_timeout, plan.config.poll_s, note)


def _to_zero(plan: VerifyPlan, scale: Scale) -> Check:
    name, service = "scales to zero", scale.cluster.get(KNATIVE_SERVICE, plan.config.service)
    if service is None:
        namespace = scale.cluster.namespace
        return failed(name, f"there is no Knative Service {plan.config.service} in namespace {namespace}; see --service")
    if min_scale(service):
        return failed(name, f"its min-scale is {min_scale(service)}: it always keeps pods")
    seconds = scale.until_none()
    if seconds is None:
        return failed(name, _left(scale), pods=len(scale.pods()))
    return passed(name, f"no pod {seconds:.0f} s after the last request", seconds=round(seconds, 3))


def _left(scale: Scale) -> str:
    return f"{scale.left()} left after {scale.limit:g} s; see --idle-timeout, and the pods' other callers"


def _round(plan: VerifyPlan, scale: Scale, name: str, times: ColdStartTimes) -> Check:
    if scale.until_none() is None:
        return failed(name, _left(scale))
    response = classification.classify_one(plan)
    pods = scale.pods()
    if response.fault is None and not pods:
        url = plan.target.url
        return failed(name, f"the request was answered, but no pod of {scale.service} was started: is {url} another service's?")
    starts = [start.seconds for pod in pods if (start := cold_start(pod))]
    if response.fault is None:
        times.ours.append(response.seconds)
    ready = f"; pod ready after {starts[0]:.0f} s" if starts else ""
    detail = f"answered in {response.seconds:.3f} s{ready}"
    return judged(name, response.fault, detail, seconds=round(response.seconds, 3))


def _baseline_round(target: HttpTarget, scale: Scale, name: str, times: ColdStartTimes) -> Check:
    if scale.until_none() is None:
        return failed(name, _left(scale))
    response = classification.hello(target)
    if response.fault is None:
        times.baseline.append(response.seconds)
    return judged(name, response.fault, f"answered in {response.seconds:.3f} s", seconds=round(response.seconds, 3))


def _burst(plan: VerifyPlan, scale: Scale) -> Check:
    count = plan.config.burst
    name = f"{count} requests at once from zero"
    if scale.until_none() is None:
        return failed(name, _left(scale))
    with ThreadPoolExecutor(count) as pool:
        responses = list(pool.map(lambda _: classification.classify_one(plan), range(count)))
    faults = [response.fault for response in responses if response.fault]
    slowest = max(response.seconds for response in responses)
    pods = len(scale.pods())
    figures = {"requests": count, "failed": len(faults), "slowest_s": round(slowest, 3), "pods": pods}
    fault = f"{len(faults)} of {count} failed: {faults[0]}" if faults else None
    return judged(name, fault, f"all answered, the slowest in {slowest:.3f} s, by {counted(pods, 'pod')}", **figures)


def _summary(plan: VerifyPlan, times: ColdStartTimes) -> Check:
    name = "cold start against the baseline" if plan.baseline else "cold start"
    if not times.ours or (plan.baseline and not times.baseline):
        return skipped(name, "no cold start was measured")
    ours = median(times.ours)
    detail = f"median {ours:.3f} s of {len(times.ours)} ({min(times.ours):.3f} to {max(times.ours):.3f})"
    figures = {"median_s": round(ours, 3), "seconds": [round(seconds, 3) for seconds in times.ours]}
    if not times.baseline:
        return passed(name, detail, **figures)
    theirs, limit = median(times.baseline), plan.config.max_extra_s
    figures |= {"baseline_median_s": round(theirs, 3), "extra_s": round(ours - theirs, 3)}
    detail += f", baseline {theirs:.3f} s: {ours - theirs:+.3f} s"
    if limit is not None and ours - theirs > limit:
        return failed(name, f"{detail}, more than --max-extra-s {limit:g}", **figures)
    return passed(name, detail, **figures)
