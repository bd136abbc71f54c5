"""How many users there are at which second. No Locust: `loadtests.locustfile` makes Locust's shape of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

#: Seconds that a shape takes where ``--run-time`` does not say.
RUN_TIME_S = 300.0


@dataclass(frozen=True)
class LoadShape:
    """``users``: the most; ``rate``: users started a second; times in seconds."""

    shape: str
    users: int
    rate: float
    run_time: float = RUN_TIME_S
    steps: int = 5
    burst: float = 30.0
    gap: float = 120.0

    def tick(self, second: float) -> tuple[int, float] | None:
        """Users and the rate at which to get there, ``second`` seconds after the start; None at the end."""
        if second >= self.run_time:
            return None
        users = SHAPES[self.shape](self, second)
        # What comes suddenly comes at once, and everything goes at once.
        sudden = self.shape in ("spike", "bursts")
        return users, max(self.rate, self.users) if sudden else self.rate


def _steady(plan: LoadShape, _: float) -> int:
    return plan.users


def _step(plan: LoadShape, second: float) -> int:
    number = int(second / plan.run_time * plan.steps) + 1
    return max(1, math.ceil(plan.users * number / plan.steps))


def _spike(plan: LoadShape, second: float) -> int:
    """A tenth of the users, and all of them for the fifth of the time in the middle."""
    return plan.users if 0.4 <= second / plan.run_time < 0.6 else max(1, plan.users // 10)


def _bursts(plan: LoadShape, second: float) -> int:
    """All, then nobody for long enough that Knative takes the last pod away, and again."""
    return plan.users if second % (plan.burst + plan.gap) < plan.burst else 0


#: Name -> users at a second.
SHAPES: dict[str, Callable[[LoadShape, float], int]] = {"steady": _steady, "step": _step, "spike": _spike, "bursts": _bursts}
