"""A name that stands for models of the store, and which of them runs a request."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from agent.store.aliasfile import AliasSpec
from agent.store.model import StoredModel
from vaccel_common.interface import ModelInterface
from vaccel_rpc.extensions import MODEL, REQUEST

#: The unit of percentages.
_ALL = 100.0


@dataclass(frozen=True)
class Share:
    """A model, and the percentage of the requests that it gets."""

    model: StoredModel
    percent: float


@dataclass(frozen=True)
class Targets:
    """The models of an alias, of each of which it holds a reference."""

    stable: StoredModel
    canary: Share | None = None
    shadow: Share | None = None

    @property
    def models(self) -> list[StoredModel]:
        """Each of them, once."""
        return list(dict.fromkeys([self.stable, *(share.model for share in (self.canary, self.shadow) if share)]))

    @property
    def shares(self) -> list[tuple[str, StoredModel, float]]:
        """Role, model and percentage of the requests of each."""
        canary = [("canary", self.canary.model, self.canary.percent)] if self.canary else []
        shadow = [("shadow", self.shadow.model, self.shadow.percent)] if self.shadow else []
        return [("stable", self.stable, _ALL - (self.canary.percent if self.canary else 0.0)), *canary, *shadow]


class Alias:
    """An alias of the store; clients hold it as they hold a model, and its ``targets`` change.

    ``interface``: that of all its models, which never changes. ``spec``: what the targets are made
    of. ``users``: resources that were registered by it. ``other``: finds a model that is not among
    its targets, by its sha256; raises `RpcError`. ``chance``: a random number from 0 to 1.
    """

    def __init__(
        self,
        name: str,
        interface: ModelInterface,
        spec: AliasSpec,
        targets: Targets,
        other: Callable[[Alias, str], Awaitable[StoredModel]],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name, self.interface, self.spec, self.targets = name, interface, spec, targets
        self.users = 0
        self._other, self._chance = other, chance

    @property
    def model(self) -> StoredModel:
        """The model that runs what no canary gets."""
        return self.targets.stable

    async def of_run(self, metadata: Mapping[str, str]) -> StoredModel:
        """The model that runs a call with that metadata.

        It is the one that the client asks for by its sha256, because another run of the same request
        had it. Else a canary's share is chosen by the request's key, so that all its runs get the
        same model, on every agent; without a key by chance. Raises `RpcError`.
        """
        if wanted := metadata.get(MODEL):
            model = next((model for model in self.targets.models if model.digest == wanted), None)
            return model or await self._other(self, wanted)
        canary = self.targets.canary
        if canary is None:
            return self.targets.stable
        key = metadata.get(REQUEST)
        at = _position(key) if key is not None else self._chance()
        return canary.model if at * _ALL < canary.percent else self.targets.stable

    def shadow_of(self, live: StoredModel) -> StoredModel | None:
        """The model that runs what ``live`` has just run, too, if this run is in its share."""
        shadow = self.targets.shadow
        if shadow is None or shadow.model is live or self._chance() * _ALL >= shadow.percent:
            return None
        return shadow.model

    def __str__(self) -> str:
        return self.name


def _position(key: str) -> float:
    """Where a request is among all: from 0 to 1, evenly, and the same wherever it is asked."""
    return int.from_bytes(blake2b(key.encode(errors="replace"), digest_size=6).digest()) / (1 << 48)
