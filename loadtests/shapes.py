"""How many users there are at each second.

No Locust: `loadtests.locustfile` turns it into Locust's shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

#: The seconds that a shape takes where ``--run-time`` is not given.
RUN_TIME_S = 300.0


@dataclass(frozen=True)
class LoadShape:
    """A shape and its parameters; ``users``: the most at any time; ``rate``: users started a
    second; times in seconds.
    """

    shape: str
    users: int
    rate: float
    run_time: float = RUN_TIME_S
    steps: int = 5
    burst: float = 30.0
    gap: float = 120.0

    def tick(self, second: float) -> tuple[int, float] | None:
        """Users and the rate at which to reach them, ``second`` seconds after the start; None at
        the end.
        """
        if second >= self.run_time:
            return None
        users = SHAPES[self.shape](self, second)
        # The users of a sudden shape come and go within a second, whatever the rate.
        sudden = self.shape in ("spike", "bursts")
        return users, max(self.rate, self.users) if sudden else self.rate


def _steady(shape: LoadShape, _: float) -> int:
    return shape.users


def _step(shape: LoadShape, second: float) -> int:
    number = int(second / shape.run_time * shape.steps) + 1
    return max(1, math.ceil(shape.users * number / shape.steps))


def _spike(shape: LoadShape, second: float) -> int:
    """A tenth of the users, and all of them for a fifth of the time, in the middle."""
    return shape.users if 0.4 <= second / shape.run_time < 0.6 else max(1, shape.users // 10)


def _bursts(shape: LoadShape, second: float) -> int:
    """All users, then none for long enough that Knative removes the last pod, and again."""
    return shape.users if second % (shape.burst + shape.gap) < shape.burst else 0


#: Name -> users at a second.
SHAPES: dict[str, Callable[[LoadShape, float], int]] = {"steady": _steady, "step": _step, "spike": _spike, "bursts": _bursts}
