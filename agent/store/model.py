"""A model as the agent holds it: one content, and the program that an engine made of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from agent.engines.contract import Program
from vaccel_common.modelfile import VariantOf


@dataclass(eq=False)
class StoredModel:
    """One content. ``path``: its file, None once an upload's file is gone; ``references``: resources that hold it.

    ``variant``: what the file says where it is another model's variant.
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
        """Its name in metrics: bounded, so all uploads share one."""
        return "upload" if self.uploaded else self.name

    @property
    def kind(self) -> str:
        """What a log line says of a variant; nothing of an original."""
        if self.variant is None:
            return ""
        agreed = (
            f"{self.variant.agreement:.2%} of {self.variant.texts} texts" if self.variant.texts else "an unknown share of texts"
        )
        return f": the {self.variant.precision} variant of sha256:{self.variant.of[:12]}, with its label on {agreed}"

    def __str__(self) -> str:
        return f"{self.name} (sha256:{self.digest[:12]})"
