"""What ``verify`` is asked for, and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from knative.cluster.objects import SELECTOR, Json
from knative.verify.ingress import Endpoint
from loadkit.texts import LABELS, TEXTS


@dataclass(frozen=True)
class VerifyPlan:
    """``service``: the function's Knative Service; ``rounds`` of cold starts, then one of ``burst`` requests at once; ``idle`` seconds
    to scale to zero in, looked at every ``poll``; ``max_extra``: seconds that a cold start may take longer than the baseline's.
    """

    site: Endpoint
    service: str
    baseline: Endpoint | None = None
    texts: Sequence[str] = TEXTS
    labels: Sequence[str] = LABELS
    rounds: int = 3
    burst: int = 8
    idle: float = 180.0
    poll: float = 1.0
    max_extra: float | None = None
    selector: str = SELECTOR


@dataclass(frozen=True)
class Check:
    """``result``: passed, failed, skipped; ``figures``: numbers for a program."""

    name: str
    result: str
    detail: str
    figures: Json = field(default_factory=dict)


def passed(name: str, detail: str, **figures: object) -> Check:
    """A check that found all well."""
    return Check(name, "passed", detail, figures)


def failed(name: str, detail: str, **figures: object) -> Check:
    """A check that found something wrong."""
    return Check(name, "failed", detail, figures)


def skipped(name: str, detail: str) -> Check:
    """A check that could not be made."""
    return Check(name, "skipped", detail)


def judged(name: str, wrong: str | None, right: str, **figures: object) -> Check:
    """Failed where something is ``wrong``."""
    return failed(name, wrong, **figures) if wrong else passed(name, right, **figures)
