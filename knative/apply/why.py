"""Why a pod is not ready, from its status and events. No network."""

from __future__ import annotations

from collections.abc import Iterator

from knative.apply.reason import Reason, most_telling
from knative.cluster.errors import counted, one_line
from knative.cluster.objects import Json, condition, is_ending, is_ready, name_of, status_of

_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable")
_CONFIG = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError")


def reasons(pod: Json, events: list[Json]) -> list[Reason]:
    """Why a pod is not ready; nothing where it is ready or terminating.

    ``events``: those that involve it.
    """
    if is_ready(pod) or is_ending(pod):
        return []
    if status_of(pod).get("phase") == "Failed":
        text = f"{status_of(pod).get('reason', 'failed')}: {status_of(pod).get('message', 'no message')}"
        return [Reason("crash", one_line(text), name_of(pod))]
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return [Reason("scheduling", one_line(scheduled.get("message", "no node has been found yet")), name_of(pod))]
    causes = [reason for status in _containers(pod) for reason in _of_container(pod, status, events)]
    return most_telling(causes) or [Reason("starting", _phase(pod, events), name_of(pod))]


def crashed(pod: Json) -> list[tuple[str, bool]]:
    """The containers whose log may explain why they ended, and whether that is the log before the
    last restart.
    """
    ended = [status for status in _containers(pod) if not status.get("ready") and _ended(status)]
    return [(str(status["name"]), "terminated" not in (status.get("state") or {})) for status in ended]


def _containers(pod: Json) -> list[Json]:
    status = status_of(pod)
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _of_container(pod: Json, status: Json, events: list[Json]) -> Iterator[Reason]:
    if status.get("ready"):
        return
    name, container = name_of(pod), str(status["name"])
    state = status.get("state") or {}
    waiting = state.get("waiting") or {}
    ended = _ended(status)
    if waiting.get("reason") in _IMAGE:
        yield Reason("image", _image(status, waiting, events), name, container)
    elif waiting.get("reason") in _CONFIG:
        yield Reason("config", one_line(f"{waiting['reason']}: {waiting.get('message', 'no message')}"), name, container)
    elif ended:
        # The kubelet ends a container whose liveness or startup probe fails. That it is not ready is
        # a consequence.
        unhealthy = newest(events, "Unhealthy", containing="Liveness") or newest(events, "Unhealthy", containing="Startup")
        yield Reason("crash", _crash(status, ended) + (f"; {unhealthy}" if unhealthy else ""), name, container)
    elif "running" in state:
        yield from _running(pod, status, events)
    elif waiting:
        mount = newest(events, "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox")
        yield Reason("config" if mount else "starting", mount or str(waiting.get("reason", "waiting")), name, container)


def _running(pod: Json, status: Json, events: list[Json]) -> Iterator[Reason]:
    if status in (status_of(pod).get("initContainerStatuses") or []):
        yield Reason("starting", "an init container that is still running", name_of(pod), str(status["name"]))
        return
    unhealthy = newest(events, "Unhealthy")
    text = unhealthy or f"its {'readiness' if status.get('started', True) else 'startup'} probe has not passed yet"
    yield Reason("probe", text, name_of(pod), str(status["name"]))


def _image(status: Json, waiting: Json, events: list[Json]) -> str:
    message = str(waiting.get("message") or status.get("image", ""))
    if message.endswith('"'):  # Back-off pulling image "x": older kubelets give the reason in an event alone
        message = newest(events, "Failed", containing="pull") or message
    return one_line(f"{waiting['reason']}: {message}")


def _ended(status: Json) -> Json:
    """How the container ended the last time, if it failed."""
    for state in (status.get("state") or {}, status.get("lastState") or {}):
        ended: Json = state.get("terminated") or {}
        if ended and (ended.get("exitCode") or ended.get("reason") == "OOMKilled"):
            return ended
    waiting = (status.get("state") or {}).get("waiting") or {}
    return {"reason": waiting["reason"]} if waiting.get("reason") == "CrashLoopBackOff" else {}


def _crash(status: Json, ended: Json) -> str:
    code = f"exit code {ended['exitCode']}" if "exitCode" in ended else "it keeps ending"
    why = ended.get("reason", "")
    reason = f" ({why})" if why and why not in ("Error", "CrashLoopBackOff") else ""
    words = f": {ended['message']}" if ended.get("message") else ""
    return one_line(f"{code}{reason}, {counted(int(status.get('restartCount', 0)), 'restart')}{words}")


def _phase(pod: Json, events: list[Json]) -> str:
    return newest(events, "FailedMount", "FailedCreatePodSandBox") or f"the pod is {status_of(pod).get('phase', 'new')}"


def newest(events: list[Json], *kinds: str, containing: str = "") -> str:
    """The message of the newest event with one of the reasons ``kinds``; empty where there
    is none.
    """
    matching = [event for event in events if event.get("reason") in kinds and containing in event.get("message", "")]
    return one_line(max(matching, key=_when).get("message", "")) if matching else ""


def _when(event: Json) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")
