"""The four commands, between the options and what does the work. Each fills the session's document and raises `KnativeError`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from knative.apply import deploy as deploying
from knative.apply import manifests, overrides, rollout
from knative.apply import undeploy as removing
from knative.cli.session import CommandSession
from knative.cluster.api import Cluster
from knative.cluster.errors import KnativeError, Unfinished
from knative.cluster.objects import KNATIVE_SERVICE, POD, Json, condition, status_of, title
from knative.look import status as looking
from knative.verify import run as verifying
from knative.verify.check import Check, VerifyPlan
from knative.verify.ingress import Endpoint, address_of


def _objects(part: str, given: Sequence[Path]) -> list[Json]:
    if given and part != "all":
        raise click.UsageError("give agent or function, or -f FILE; not both")
    return manifests.load(manifests.files(part, given))


def deploy(
    session: CommandSession,
    *,
    part: str,
    given: Sequence[Path],
    dry_run: bool,
    timeout: float,
    no_wait: bool,
    poll: float,
    **changes: Any,
) -> None:
    """Applies, and waits."""
    wanted = overrides.Overrides(**changes)
    overrides.check(wanted)
    objects = session.fit(overrides.changed(_objects(part, given), wanted))
    session.document |= {"namespace": session.cluster.namespace, "dry_run": dry_run, "objects": [], "ready": None, "rollouts": []}

    def told(applied: deploying.Applied) -> None:
        session.document["objects"].append({"object": applied.name, "result": applied.result})
        session.output.line(f"{applied.result} {applied.name}{' (dry run)' if dry_run else ''}")

    deploying.apply(session.cluster, objects, dry_run=dry_run, explain=session.output.explain, told=told)
    if not dry_run and not no_wait:
        _roll_out(session, rollout.awaited(objects), timeout, poll)


def _roll_out(session: CommandSession, objects: Sequence[Json], timeout: float, poll: float) -> None:
    with session.output.progress() as watcher:
        found, unread = rollout.wait(session.cluster, objects, timeout=timeout, poll=poll, watcher=watcher)
    late = [one for one in found if not one.state.ready]
    session.document |= {"ready": not late, "rollouts": [one.shown() for one in found], "unread": unread}
    for one in found:
        if one.state.ready:
            session.output.line(f"ready {one.name}: {one.state.progress}")
    for right in unread if late else ():
        session.output.note(f"not read, and it might say more: {right}")
    if any(one.state.hopeless for one in late):
        raise Unfinished("; ".join(one.complaint for one in late))
    if late:
        raise Unfinished(f"not ready after {timeout:g} s: {'; '.join(one.complaint for one in late)}")


def status(session: CommandSession, *, agent_selector: str) -> None:
    """Shows what runs."""
    found, now = looking.read(session.cluster, agent_selector), looking.now()
    session.document |= looking.document(found, now)
    output = session.output
    if not found.agents:
        output.note(f"no agents in namespace {found.namespace} ({agent_selector})")
    output.table(looking.AGENT_COLUMNS, looking.agent_rows(found, now))
    output.table(looking.FUNCTION_COLUMNS, looking.function_rows(found))
    output.table(looking.REVISION_COLUMNS, looking.revision_rows(found, now))
    for note in found.notes:
        output.note(note)


def undeploy(
    session: CommandSession,
    *,
    part: str,
    given: Sequence[Path],
    everything: bool,
    yes: bool,
    timeout: float,
    no_wait: bool,
    poll: float,
) -> None:
    """Deletes, and waits."""
    objects = session.fit(_objects(part, given))
    names = ", ".join(title(made) for made in objects)
    if not yes and not click.confirm(f"Delete {names} in namespace {session.cluster.namespace}?", err=True):
        raise KnativeError("nothing was deleted")
    session.document |= {"namespace": session.cluster.namespace, "objects": [], "gone": None}

    def told(removed: removing.Removed) -> None:
        why = f": {removed.why}" if removed.why else ""
        session.document["objects"].append({"object": removed.name, "result": removed.result, "why": removed.why or None})
        session.output.line(f"{removed.result} {removed.name}{why}")

    going = removing.remove(session.cluster, objects, everything=everything, told=told)
    if no_wait:
        return
    left = removing.wait(session.cluster, going, timeout=timeout, poll=poll)
    session.document["gone"] = not left
    if left:
        raise Unfinished(f"still there after {timeout:g} s: {', '.join(left)}; see their finalizers: kubectl get -o yaml")


def verify(session: CommandSession, *, url: str | None, **options: Any) -> None:
    """Checks, and tells of each."""
    cluster, absent = _seen(session, url)
    plan = _plan(url or _own_url(session, options["service"]), **options)
    session.document |= {"url": plan.site.url, "passed": None, "checks": []}
    found = []
    for check in verifying.verify(plan, cluster, absent, session.output.note):
        found.append(check)
        session.document["checks"].append(vars(check))
        session.output.line(f"{check.result} {check.name}: {check.detail}")
    _judge(session, found)


def _judge(session: CommandSession, found: Sequence[Check]) -> None:
    wrong = [check.name for check in found if check.result == "failed"]
    session.document["passed"] = not wrong
    if wrong:
        raise Unfinished(f"{len(wrong)} of {len(found)} checks failed: {', '.join(wrong)}")


def _seen(session: CommandSession, url: str | None) -> tuple[Cluster | None, str]:
    """The cluster; or, where a URL is enough to begin with, why it cannot be seen."""
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
    found = session.cluster.get(KNATIVE_SERVICE, service)
    if found is None:
        raise KnativeError(
            f"there is no Knative Service {service} in namespace {session.cluster.namespace}: deploy it, or give --url"
        )
    address = status_of(found).get("url")
    if not address:
        why = condition(found, "Ready").get("message") or "it was not seen by Knative yet"
        raise KnativeError(f"the Knative Service {service} has no URL yet: {why}")
    return str(address)


def _plan(url: str, **options: Any) -> VerifyPlan:
    def site(url: str) -> Endpoint:
        address = address_of(url, options["ingress"], options["resolve"])
        return Endpoint(url, address, options["ca"], options["request_timeout"])

    texts = {"texts": options["texts"]} if options["texts"] else {}
    return VerifyPlan(
        site(url),
        options["service"],
        baseline=site(options["baseline_url"]) if options["baseline_url"] else None,
        labels=[label.strip() for label in options["labels"].split(",")],
        rounds=options["cold_starts"],
        burst=options["burst"],
        idle=options["idle_timeout"],
        poll=options["poll"],
        max_extra=options["max_extra_s"],
        selector=options["agent_selector"],
        **texts,
    )
