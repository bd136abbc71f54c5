"""Which model of an alias runs a request: shares of canaries and shadows, over fixed seeds."""

from __future__ import annotations

import asyncio
import random

import pytest

from agent.store.alias import Alias, Share, Targets
from agent.store.aliasfile import AliasSpec
from agent.store.model import StoredModel
from vaccel_common.interface import ModelInterface
from vaccel_rpc.errors import FailedPrecondition
from vaccel_rpc.extensions import MODEL, REQUEST


def stored(letter: str) -> StoredModel:
    return StoredModel(letter * 64, letter, None, uploaded=False, variant=None)


STABLE, CANARY, SHADOW, OTHER = (stored(letter) for letter in "abcd")
REQUESTS = 20_000


async def other(alias: Alias, digest: str) -> StoredModel:
    if digest == OTHER.digest:
        return OTHER
    raise FailedPrecondition(f"{alias} is never {digest}")


def alias_of(targets: Targets, seed: int = 7) -> Alias:
    """An alias with those targets, whose chances follow from the seed."""
    return Alias("tweets", ModelInterface(), AliasSpec("a" * 64), targets, other, random.Random(seed).random)


def chosen(alias: Alias, **metadata: str) -> StoredModel:
    """The model that runs a request with that metadata."""
    return asyncio.run(alias.of_run(metadata))


async def canary_runs(alias: Alias, *, keys: bool) -> int:
    return sum([await alias.of_run({REQUEST: f"request {i}"} if keys else {}) is CANARY for i in range(REQUESTS)])


def bounds(percent: float) -> tuple[float, float]:
    """Five standard deviations around the expected number of requests."""
    part = percent / 100
    deviation = (REQUESTS * part * (1 - part)) ** 0.5
    return REQUESTS * part - 5 * deviation, REQUESTS * part + 5 * deviation


@pytest.mark.parametrize("keys", [True, False])
@pytest.mark.parametrize("percent", [0, 0.5, 10, 50, 100])
def test_a_canary_gets_its_share(percent: float, keys: bool) -> None:
    """By the requests' keys as by chance; of 0 percent nothing, of 100 everything."""
    count = asyncio.run(canary_runs(alias_of(Targets(STABLE, Share(CANARY, percent))), keys=keys))
    low, high = bounds(percent)
    assert low <= count <= high


def test_all_runs_of_a_request_get_the_same_model() -> None:
    """On every agent, and as the share grows a request of the canary stays one."""
    small, large = (alias_of(Targets(STABLE, Share(CANARY, percent)), seed) for seed, percent in ((1, 10), (2, 30)))
    for i in range(300):
        key = {REQUEST: f"{i}"}
        assert chosen(small, **key) is chosen(small, **key)
        assert chosen(small, **key) is STABLE or chosen(large, **key) is CANARY
    assert chosen(small, **{REQUEST: "\udc80 of any characters"}) in (STABLE, CANARY)


def test_a_run_may_name_its_model() -> None:
    """One of the targets, or another one that the aliases find; else it is refused."""
    alias = alias_of(Targets(STABLE, Share(CANARY, 0)))
    for model in (STABLE, CANARY, OTHER):
        assert chosen(alias, **{MODEL: model.digest}) is model
    with pytest.raises(FailedPrecondition, match="tweets is never"):
        chosen(alias, **{MODEL: "x"})


def test_a_shadow_gets_its_share_and_never_itself() -> None:
    """Of the requests that another model has answered."""
    alias = alias_of(Targets(STABLE, Share(SHADOW, 50), Share(SHADOW, 10)))
    count = sum(alias.shadow_of(STABLE) is SHADOW for _ in range(REQUESTS))
    low, high = bounds(10)
    assert low <= count <= high
    assert not any(alias.shadow_of(SHADOW) for _ in range(1000))
    assert alias_of(Targets(STABLE)).shadow_of(STABLE) is None


def test_the_roles_and_their_shares_are_shown() -> None:
    """For metrics: what the canary gets, the stable model does not."""
    targets = Targets(STABLE, Share(CANARY, 10), Share(SHADOW, 20))
    assert targets.shares == [("stable", STABLE, 90.0), ("canary", CANARY, 10), ("shadow", SHADOW, 20)]
    assert Targets(STABLE).shares == [("stable", STABLE, 100.0)]
    assert Targets(STABLE, Share(CANARY, 1), Share(CANARY, 2)).models == [STABLE, CANARY]
