"""deploy, status and undeploy, between the options and the packages that do the work. Each fills the
session's document.

They raise `KnativeError`, and `ConfigError` for options that do not fit what is deployed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from knative.apply import changes, manifests, overrides, rollout
from knative.apply.overrides import Overrides
from knative.cli.config import DeployConfig, FilesConfig, StatusConfig, UndeployConfig, WaitConfig
from knative.cli.session import CommandSession
from knative.cluster.errors import KnativeError, Unfinished
from knative.cluster.objects import Json, title
from knative.look import status as looking
from vaccel_common.options import ConfigError


def _objects(part: str, files: Sequence[Path]) -> list[Json]:
    if files and part != "all":
        raise ConfigError("give agent or function, or -f FILE; not both")
    return manifests.load(manifests.files(part, files))


def deploy(
    session: CommandSession, files: FilesConfig, options: Overrides, config: DeployConfig, wait: WaitConfig, *, part: str
) -> None:
    """Applies the objects, and waits until they are ready."""
    objects = session.fit(overrides.changed(_objects(part, files.files), options))
    namespace = session.cluster.namespace
    session.document |= {"namespace": namespace, "dry_run": config.dry_run, "objects": [], "ready": None, "rollouts": []}
    applied = changes.apply(session.cluster, objects, dry_run=config.dry_run, explain=session.output.explain)
    _report(session, applied, " (dry run)" if config.dry_run else "")
    if not config.dry_run and not wait.no_wait:
        _roll_out(session, rollout.awaited(objects), wait)


def _report(session: CommandSession, made: Iterable[changes.Change], words: str = "") -> list[changes.Change]:
    """The changes, once each was reported when it was made."""
    reported = []
    for change in made:
        reported.append(change)
        session.document["objects"].append({"object": title(change.obj), "result": change.result, "why": change.why or None})
        session.output.line(f"{change}{words}")
    return reported


def _roll_out(session: CommandSession, objects: Sequence[Json], wait: WaitConfig) -> None:
    watcher = session.output.progress()
    rollouts, unread = rollout.wait(session.cluster, objects, timeout=wait.timeout, poll=wait.poll_s, watcher=watcher)
    late = [each for each in rollouts if not each.state.ready]
    session.document |= {"ready": not late, "rollouts": [each.shown() for each in rollouts], "unread": unread}
    for each in rollouts:
        if each.state.ready:
            session.output.line(f"ready {each.name}: {each.state.progress}")
    for right in unread if late else ():
        session.output.note(f"not read, though it might explain more: {right}")
    if any(each.state.hopeless for each in late):
        raise Unfinished("; ".join(each.complaint for each in late))
    if late:
        raise Unfinished(f"not ready after {wait.timeout:g} s: {'; '.join(each.complaint for each in late)}")


def status(session: CommandSession, config: StatusConfig) -> None:
    """Shows agents and functions."""
    state, now = looking.read(session.cluster, config.agent_selector), looking.now()
    session.document |= looking.document(state, now)
    output = session.output
    if not state.agents:
        output.note(f"no agents in namespace {state.namespace} ({config.agent_selector})")
    output.table(looking.AGENT_COLUMNS, looking.agent_rows(state, now))
    output.table(looking.FUNCTION_COLUMNS, looking.function_rows(state))
    output.table(looking.REVISION_COLUMNS, looking.revision_rows(state, now))
    for note in state.notes:
        output.note(note)


def undeploy(session: CommandSession, files: FilesConfig, config: UndeployConfig, wait: WaitConfig, *, part: str) -> None:
    """Deletes the objects, and waits until they are gone."""
    objects = session.fit(_objects(part, files.files))
    names = ", ".join(title(obj) for obj in objects)
    if not config.yes and not click.confirm(f"Delete {names} in namespace {session.cluster.namespace}?", err=True):
        raise KnativeError("nothing was deleted")
    session.document |= {"namespace": session.cluster.namespace, "objects": [], "gone": None}
    removed = _report(session, changes.remove(session.cluster, objects, everything=config.everything))
    if wait.no_wait:
        return
    left = changes.wait_until_gone(session.cluster, removed, timeout=wait.timeout, poll=wait.poll_s)
    session.document["gone"] = not left
    if left:
        raise Unfinished(f"still there after {wait.timeout:g} s: {', '.join(left)}; see their finalizers: kubectl get -o yaml")
