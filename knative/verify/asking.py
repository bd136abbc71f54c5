"""Asks the function, and judges its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from knative.cluster.objects import Json
from knative.verify import answers
from knative.verify.check import Check, VerifyPlan, judged, skipped
from knative.verify.ingress import Endpoint, HttpResponse, RequestLost
from loadkit.texts import TEXTS

_PATH = "/classify"


@dataclass(frozen=True)
class CheckedResponse:
    """``answer`` is a right one, empty where something is ``wrong``."""

    answer: Json
    wrong: str | None
    seconds: float


def one(plan: VerifyPlan) -> CheckedResponse:
    """Asks for one text."""
    return _asked(lambda: plan.site.ask(_PATH, {"text": plan.texts[0]}), lambda answer: answers.fault_of_one(answer, plan.labels))


def many(plan: VerifyPlan) -> CheckedResponse:
    """Asks for several."""
    texts = list(plan.texts) if len(plan.texts) > 1 else [*plan.texts, *TEXTS]
    return _asked(
        lambda: plan.site.ask(_PATH, {"texts": texts}), lambda answer: answers.fault_of_many(answer, len(texts), plan.labels)
    )


def hello(site: Endpoint) -> CheckedResponse:
    """Asks a service that is not ours: any 200 is right."""
    return _asked(site.ask, lambda _: None)


def _asked(ask: Callable[[], HttpResponse], wrong: Callable[[Json | None], str | None]) -> CheckedResponse:
    try:
        reply = ask()
    except RequestLost as error:
        return CheckedResponse({}, str(error), 0.0)
    if reply.status != 200:
        return CheckedResponse({}, _status(reply), reply.seconds)
    found = wrong(reply.json())
    return CheckedResponse({} if found else reply.json() or {}, found, reply.seconds)


def _status(reply: HttpResponse) -> str:
    if reply.location:
        return f"{reply.status}: it sends on to {reply.location}; give that --url"
    return f"it answered {reply.said()}"


def checks(plan: VerifyPlan) -> Iterator[Check]:
    """One text, several, and the first one again."""
    first = one(plan)
    label = first.answer.get("label")
    told = f"{label} ({first.answer.get('score', 0):.3f}) in {first.seconds:.3f} s"
    yield judged("answers one text", first.wrong, told, seconds=round(first.seconds, 3))
    several = many(plan)
    told = ", ".join(found["label"] for found in several.answer.get("predictions", []))
    yield judged("answers many texts", several.wrong, f"{told} in {several.seconds:.3f} s", seconds=round(several.seconds, 3))
    yield _again(plan, first)


def _again(plan: VerifyPlan, first: CheckedResponse) -> Check:
    name = "answers the same again"
    if first.wrong:
        return skipped(name, "the first answer is wrong")
    second = one(plan)
    return judged(name, second.wrong or answers.difference(first.answer, second.answer), f"{second.answer.get('label')} twice")
