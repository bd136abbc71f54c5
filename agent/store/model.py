"""A model as the agent holds it: one content, and the program that an engine loaded from it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from agent.engines.contract import Program
from vaccel_common.modelfile import VariantOf


@dataclass(eq=False)
class StoredModel:
    """One content.

    ``path``: its file, None once an upload's file is removed. ``references``: resources that hold
    it. ``variant``: the original's digest and the precision, where the file is a variant.
    ``pinned``: never unloaded. ``used``: when it was last used (monotonic seconds).
    """

    digest: str
    name: str
    path: Path | None
    uploaded: bool
    variant: VariantOf | None
    size: int = 0
    references: int = 0
    pinned: bool = False
    used: float = 0.0
    program: asyncio.Task[Program] | None = None

    @property
    def loaded(self) -> bool:
        """Whether its program is in memory, or about to be."""
        return self.program is not None

    @property
    def warm(self) -> bool:
        """Whether its program is in memory."""
        return self.program is not None and self.program.done() and not self.program.cancelled() and not self.program.exception()

    @property
    def label(self) -> str:
        """Its name in metrics. All uploads share one, so that the number of names is bounded."""
        return "upload" if self.uploaded else self.name

    @property
    def kind(self) -> str:
        """The end of a log line about a variant; empty for an original."""
        if self.variant is None:
            return ""
        agreement = (
            f"{self.variant.agreement:.2%} of {self.variant.texts} texts" if self.variant.texts else "an unknown share of texts"
        )
        return f": the {self.variant.precision} variant of sha256:{self.variant.of[:12]}, with its label on {agreement}"

    def __str__(self) -> str:
        return f"{self.name} (sha256:{self.digest[:12]})"
