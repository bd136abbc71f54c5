"""One request's runs, all by the same model, though the name of that model changes its meaning meanwhile.

Agents say which model ran what was registered by a name. While an alias changes, and for as long as
several agents do not agree on it, the runs of one request may meet two models; then those of one
model are run again by the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from vaccel_rpc.client import RunResult
from vaccel_rpc.errors import FailedPrecondition, NotFound, RpcError, Unavailable

#: A run's result, or its own error.
Outcome = RunResult | RpcError


def of_one_model(outcomes: Sequence[Outcome], run_again: Callable[[list[int], str], Sequence[Outcome]]) -> list[Outcome]:
    """The outcomes, with those of all models but one replaced.

    ``run_again``: the outcomes of the runs at these positions by the model with that sha256; raises
    `FailedPrecondition` or `NotFound` where an agent does not have it. The model with the most runs
    is tried first. Raises `Unavailable` where no model could run all, and what ``run_again`` raises.
    """
    models = Counter(outcome.model for outcome in outcomes if isinstance(outcome, RunResult) and outcome.model)
    if len(models) < 2:
        return list(outcomes)
    for model, _ in models.most_common():
        others = [i for i, outcome in enumerate(outcomes) if not isinstance(outcome, RunResult) or outcome.model != model]
        try:
            replaced = dict(zip(others, run_again(others, model), strict=True))
        except (FailedPrecondition, NotFound):
            continue
        return [replaced.get(i, outcome) for i, outcome in enumerate(outcomes)]
    raise Unavailable("the agents do not agree on which model runs; a change of it is under way", retry_after=1)
