"""The plan of ``verify``, and the result of one check."""

from __future__ import annotations

from dataclasses import dataclass, field

from knative.cluster.objects import Json
from knative.verify.config import VerifyConfig
from knative.verify.ingress import HttpTarget


@dataclass(frozen=True)
class VerifyPlan:
    """The function's target, that of the service to compare with, and the options."""

    target: HttpTarget
    baseline: HttpTarget | None
    config: VerifyConfig


@dataclass(frozen=True)
class Check:
    """``result``: passed, failed or skipped; ``detail``: what was seen; ``figures``: the same as
    numbers, for programs.
    """

    name: str
    result: str
    detail: str
    figures: Json = field(default_factory=dict)


def passed(name: str, detail: str, **figures: object) -> Check:
    """A check that found nothing wrong."""
    return Check(name, "passed", detail, figures)


def failed(name: str, detail: str, **figures: object) -> Check:
    """A check that found something wrong."""
    return Check(name, "failed", detail, figures)


def skipped(name: str, detail: str) -> Check:
    """A check that could not be done."""
    return Check(name, "skipped", detail)


def judged(name: str, fault: str | None, detail: str, **figures: object) -> Check:
    """A check that failed with ``fault`` if there is one, and passed with ``detail`` otherwise."""
    return failed(name, fault, **figures) if fault else passed(name, detail, **figures)
