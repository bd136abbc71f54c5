"""The store as its operator sees it: an index of models, and which of them are in memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from agent.store.model import StoredModel
from agent.store.models import Store

State = Literal["READY", "LOADING", "UNAVAILABLE"]


@dataclass(frozen=True)
class IndexEntry:
    """A model of the store, or one in memory. Names of states are Triton's.

    ``reason``: why it is unavailable. ``file``: its name, or that of the form that runs. Only of a
    model in memory: ``sha256``, ``precision``, ``memory`` (bytes), ``references`` (clients'
    resources), ``pinned`` (never unloaded), ``idle`` (seconds since it was last used).
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


class Repository:
    """Lists, loads and unloads the models of a ``store``. For the event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def index(self) -> list[IndexEntry]:
        """The models in memory, and the store's that are not, by name."""
        files = await self._store.originals()
        present = self._store.loaded
        names = {model.path.name for model in present if model.path}
        entries = [_entry(model) for model in present]
        entries += [IndexEntry(name.rpartition(".")[0], "UNAVAILABLE", "not loaded", name) for name in files if name not in names]
        return sorted(entries, key=lambda entry: (entry.name, entry.file))

    async def load(self, name: str) -> None:
        """Loads a model and keeps it in memory, as ``--preload`` does. Raises what that raises."""
        await self._store.preload([name])

    async def unload(self, name: str) -> None:
        """Drops a model from memory; where clients have it, their next run loads it again.

        Raises what `Store.by_paths` raises.
        """
        model = await self._store.by_paths([name])
        try:
            await self._store.unload(model)
        finally:
            self._store.release(model)


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
