"""A model as the agent holds it: one content, and what an engine loaded for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from agent.engines.contract import Program
from agent.store.variants import EXACT
from vaccel_common.modelfile import VariantOf
from vaccel_rpc.errors import RpcError

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Form:
    """What runs for a model: the program of one file, whose content has that ``digest``.

    ``name``: the ``file``'s, without its suffix. ``memory``: bytes that it takes. ``variant``: whose variant the file is, if it is
    one. ``labels``: those in the file. ``upload``: the file, where a client sent it.
    """

    name: str
    file: str
    digest: str
    program: Program
    memory: int = 0
    variant: VariantOf | None = None
    labels: list[str] | None = None
    upload: Path | None = None

    def __str__(self) -> str:
        return f"{self.name} (sha256:{self.digest[:12]})"

    @property
    def precision(self) -> str:
        """The precision in which it computes, if that is a variant's; else ``exact``."""
        return "exact" if self.variant is None or self.variant.precision == EXACT else self.variant.precision


@dataclass(eq=False)
class StoredModel:
    """One content.

    ``path``: its file, None once an upload's file is removed. ``others``: names of the other files
    of a model of several, in its folder. ``references``: resources that hold
    it. ``variant``: the original's digest and the precision, where the file is a variant.
    ``pinned``: never unloaded. ``used``: when it was last used (monotonic seconds). ``loading``:
    what runs for it, or is about to.
    """

    digest: str
    name: str
    path: Path | None
    uploaded: bool
    variant: VariantOf | None
    size: int = 0
    others: Sequence[str] = ()
    references: int = 0
    pinned: bool = False
    used: float = 0.0
    loading: asyncio.Task[Form] | None = None

    @property
    def loaded(self) -> bool:
        """Whether its program is in memory, or about to be."""
        return self.loading is not None

    @property
    def memory(self) -> int:
        """Bytes of memory that it takes: as measured once it is loaded, before that the size of its files."""
        return self.form.memory if self.form else self.size

    @property
    def form(self) -> Form | None:
        """What runs for it; None where nothing is in memory."""
        task = self.loading
        return task.result() if task and task.done() and not task.cancelled() and not task.exception() else None

    @property
    def label(self) -> str:
        """Its name in metrics. All uploads share one, so that the number of names is bounded."""
        form = self.form
        return "upload" if (form.upload if form else self.uploaded) else (form or self).name

    def __str__(self) -> str:
        return f"{self.name} (sha256:{self.digest[:12]})"


async def with_name(name: str, work: Awaitable[T]) -> T:
    """What the work on a model gives. What it raises has the model's name, by which an operator finds it."""
    try:
        return await work
    except RpcError as error:
        raise (error if name in error.message else error.with_place(name)) from None
