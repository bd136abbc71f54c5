"""Sends texts to the function and checks what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from knative.cluster.objects import Json
from knative.verify import answers
from knative.verify.check import Check, VerifyPlan, judged, skipped
from knative.verify.ingress import HttpResponse, HttpTarget, RequestLost
from loadkit.texts import TEXTS

_PATH = "/classify"


@dataclass(frozen=True)
class CheckedResponse:
    """``answer`` is a right one, empty where there is a ``fault``; ``seconds`` from the request to
    the whole response.
    """

    answer: Json
    fault: str | None
    seconds: float


def classify_one(plan: VerifyPlan) -> CheckedResponse:
    """Sends the first text."""
    body = {"text": plan.config.texts[0]}
    return _checked(lambda: plan.target.send(_PATH, body), lambda answer: answers.fault_of_one(answer, plan.config.labels))


def classify_many(plan: VerifyPlan) -> CheckedResponse:
    """Sends all texts in one request, at least two."""
    texts = list(plan.config.texts) if len(plan.config.texts) > 1 else [*plan.config.texts, *TEXTS]
    return _checked(
        lambda: plan.target.send(_PATH, {"texts": texts}),
        lambda answer: answers.fault_of_many(answer, len(texts), plan.config.labels),
    )


def hello(target: HttpTarget) -> CheckedResponse:
    """Sends a GET to a service that is not the function's: any response with status 200
    is right.
    """
    return _checked(target.send, lambda _: None)


def _checked(send: Callable[[], HttpResponse], fault_of: Callable[[Json | None], str | None]) -> CheckedResponse:
    try:
        response = send()
    except RequestLost as error:
        return CheckedResponse({}, str(error), 0.0)
    if response.status != 200:
        return CheckedResponse({}, _unexpected(response), response.seconds)
    fault = fault_of(response.json())
    return CheckedResponse({} if fault else response.json() or {}, fault, response.seconds)


def _unexpected(response: HttpResponse) -> str:
    if response.location:
        return f"{response.status}: the response redirects to {response.location}; give that as --url"
    return f"the response was {response.summary()}"


def checks(plan: VerifyPlan) -> Iterator[Check]:
    """One text, several, and the first one again."""
    first = classify_one(plan)
    label = first.answer.get("label")
    detail = f"{label} ({first.answer.get('score', 0):.3f}) in {first.seconds:.3f} s"
    yield judged("answers one text", first.fault, detail, seconds=round(first.seconds, 3))
    several = classify_many(plan)
    labels = ", ".join(prediction["label"] for prediction in several.answer.get("predictions", []))
    detail = f"{labels} in {several.seconds:.3f} s"
    yield judged("answers many texts", several.fault, detail, seconds=round(several.seconds, 3))
    yield _again(plan, first)


def _again(plan: VerifyPlan, first: CheckedResponse) -> Check:
    name = "answers the same again"
    if first.fault:
        return skipped(name, "the first answer is wrong")
    second = classify_one(plan)
    fault = second.fault or answers.difference(first.answer, second.answer)
    return judged(name, fault, f"{second.answer.get('label')} twice")
