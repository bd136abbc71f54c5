"""The command ``verify``: checks of a running function, as lines, as a document, and as JUnit's XML.

It raises `KnativeError`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from knative.apply import changes, manifests, rollout
from knative.apply.overrides import serving_container
from knative.cli.session import CommandSession
from knative.cluster.api import Cluster
from knative.cluster.errors import KnativeError, Unfinished
from knative.cluster.objects import KNATIVE_SERVICE, POD, condition, name_of, status_of
from knative.verify import junit
from knative.verify import run as verifying
from knative.verify.check import Check, VerifyPlan
from knative.verify.config import VerifyConfig
from knative.verify.ingress import HttpTarget, address_of


def verify(session: CommandSession, config: VerifyConfig) -> None:
    """Runs every check and reports each as soon as it is done."""
    session.document |= {"url": None, "passed": None, "checks": []}
    checks: list[Check] = []
    error = ""
    try:
        _run(session, config, checks)
        _conclude(session, checks)
    except KnativeError as failure:
        error = str(failure)
        raise
    finally:
        if config.junit:
            junit.write(config.junit, checks, error)


def _run(session: CommandSession, config: VerifyConfig, checks: list[Check]) -> None:
    """Appends each check to ``checks``, also where a later one cannot be done."""
    cluster, absent = _reachable(session, config.url)
    if config.baseline and cluster is None:
        raise KnativeError(f"--baseline needs the cluster, and {absent}")
    url = config.url or _own_url(session, config.service)
    with contextlib.ExitStack() as stack:
        baseline_url = stack.enter_context(_baseline(session, config)) if config.baseline else config.baseline_url
        plan = _plan(url, baseline_url, config)
        session.document |= {"url": plan.target.url}
        for check in verifying.verify(plan, cluster, absent, session.output.note):
            session.document["checks"].append(vars(check))
            session.output.line(f"{check.result} {check.name}: {check.detail}")
            checks.append(check)


def _conclude(session: CommandSession, checks: Sequence[Check]) -> None:
    failed = [check.name for check in checks if check.result == "failed"]
    session.document["passed"] = not failed
    if failed:
        raise Unfinished(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")


@contextlib.contextmanager
def _baseline(session: CommandSession, config: VerifyConfig) -> Iterator[str]:
    """The URL of the hello-world that ships, which is deleted in the end unless it was there before."""
    cluster, output = session.cluster, session.output
    (hello,) = objects = session.fit(manifests.load([manifests.BASELINE]))
    if config.baseline_image:
        serving_container(hello["spec"]["template"]["spec"])["image"] = config.baseline_image
    kept = cluster.get(KNATIVE_SERVICE, name_of(hello)) is not None
    for change in changes.apply(cluster, objects, dry_run=False, explain=output.explain):
        output.note(str(change))
    try:
        watcher = output.progress()
        (state,), _ = rollout.wait(cluster, objects, timeout=config.idle_timeout, poll=config.poll_s, watcher=watcher)
        if not state.state.ready:
            raise Unfinished(f"the baseline cannot be measured: {state.complaint}")
        yield _own_url(session, name_of(hello))
    finally:
        if not kept:
            for change in changes.remove(cluster, objects, everything=False):
                output.note(str(change))


def _reachable(session: CommandSession, url: str | None) -> tuple[Cluster | None, str]:
    """The cluster; or, where a URL is enough to continue, why it cannot be observed."""
    try:
        session.cluster.resource(KNATIVE_SERVICE)
        session.cluster.find(KNATIVE_SERVICE)
        session.cluster.find(POD, labels="app.kubernetes.io/name=none")
    except KnativeError as error:
        if url and not session.chosen:
            return None, str(error)
        raise
    return session.cluster, ""


def _own_url(session: CommandSession, service: str) -> str:
    obj = session.cluster.get(KNATIVE_SERVICE, service)
    if obj is None:
        raise KnativeError(
            f"there is no Knative Service {service} in namespace {session.cluster.namespace}: deploy it, or give --url"
        )
    url = status_of(obj).get("url")
    if not url:
        why = condition(obj, "Ready").get("message") or "Knative has not processed it yet"
        raise KnativeError(f"the Knative Service {service} has no URL yet: {why}")
    return str(url)


def _plan(url: str, baseline_url: str | None, config: VerifyConfig) -> VerifyPlan:
    def target(url: str) -> HttpTarget:
        address = address_of(url, config.ingress, config.resolve)
        return HttpTarget(url, address, str(config.ca) if config.ca else None, config.request_timeout)

    return VerifyPlan(target(url), target(baseline_url) if baseline_url else None, config)
