"""The store as its operator sees it: an index of models, and which of them are in memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent.store.alias import Alias
from agent.store.aliases import Aliases
from agent.store.model import StoredModel
from agent.store.models import Store
from vaccel_rpc.errors import FailedPrecondition

State = Literal["READY", "LOADING", "UNAVAILABLE"]


@dataclass(frozen=True)
class IndexEntry:
    """A model of the store, or one in memory, or an alias. Names of states are Triton's.

    ``reason``: why it is unavailable, or why the last change of an alias was refused. ``file``: its
    name, or that of the form that runs. Only of a model in memory: ``sha256``, ``precision``,
    ``memory`` (bytes), ``references`` (clients' resources), ``pinned`` (never unloaded), ``idle``
    (seconds since it was last used). ``shares``: of an alias, role, sha256 and percentage of each
    of its models.
    """

    name: str
    state: State
    reason: str
    file: str
    sha256: str = ""
    precision: str = ""
    memory: int = 0
    references: int = 0
    pinned: bool = False
    idle: float = 0.0
    shares: Sequence[tuple[str, str, float]] = ()


class Repository:
    """Lists, loads and unloads the models of a ``store``, and lists its ``aliases``. For the event loop."""

    def __init__(self, store: Store, aliases: Aliases) -> None:
        self._store, self._aliases = store, aliases

    async def index(self) -> list[IndexEntry]:
        """The models in memory, the store's that are not, and the aliases, by name."""
        files = await self._store.originals()
        present = self._store.loaded
        names = {model.path.name for model in present if model.path}
        entries = [_entry(model) for model in present]
        entries += [IndexEntry(name.rpartition(".")[0], "UNAVAILABLE", "not loaded", name) for name in files if name not in names]
        refusals = {name: refusal.message for name, refusal in self._aliases.refusals.items() if name}
        entries += [_alias_entry(alias, refusals.pop(alias.name, None)) for alias in self._aliases.all]
        entries += [IndexEntry(name, "UNAVAILABLE", reason, "") for name, reason in refusals.items()]
        return sorted(entries, key=lambda entry: (entry.name, entry.file))

    async def load(self, name: str) -> None:
        """Loads a model, or those of an alias, and keeps it in memory, as ``--preload`` does.

        Raises what that raises.
        """
        if not await self._aliases.preload([name]):
            await self._store.preload([name])

    async def unload(self, name: str) -> None:
        """Drops a model from memory; where clients have it, their next run loads it again.

        Raises what `Store.by_paths` raises, and `FailedPrecondition` for an alias.
        """
        if any(alias.name == name for alias in self._aliases.all):
            raise FailedPrecondition(f"{name} is an alias; unload its model by the model's own name")
        model = await self._store.by_paths([name])
        try:
            await self._store.unload(model)
        finally:
            self._store.release(model)


def _alias_entry(alias: Alias, refusal: str | None) -> IndexEntry:
    shares = [(role, model.digest, percent) for role, model, percent in alias.targets.shares]
    missing = [model for model in alias.targets.models if not model.form]
    if any(model.loaded for model in missing):
        state: State = "LOADING"
    else:
        state = "UNAVAILABLE" if missing else "READY"
    reason = f"the last change was refused: {refusal}" if refusal else f"not loaded: {missing[0]}" if missing else ""
    return IndexEntry(alias.name, state, reason, "", shares=shares)


def _entry(model: StoredModel) -> IndexEntry:
    form = model.form
    return IndexEntry(
        model.name,
        "READY" if form else "LOADING",
        "",
        form.file if form else model.path.name if model.path else "",
        form.digest if form else model.digest,
        form.precision if form else "",
        model.memory,
        model.references,
        model.pinned,
        time.monotonic() - model.used,
    )
