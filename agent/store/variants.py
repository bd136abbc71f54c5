"""Which variant of a model runs in its place: a pure function of what the store has, what is allowed and what the machine can."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from agent.config import Precision
from vaccel_common.modelfile import VariantOf

#: The fastest first, as measured (models/README.md).
_FASTEST = ("int8", "bf16")
#: What ``auto`` takes, and the share of texts on which it must have given the original's label.
_AUTO, _AGREEMENT = ("bf16",), 0.999


def choose(digest: str, found: Sequence[tuple[Path, VariantOf]], precision: Precision, able: Collection[str]) -> Path | None:
    """The file among ``found`` to run for the model ``digest``; None: the model itself.

    ``able``: precisions that this machine computes faster. ``fast`` takes the fastest of them; ``auto`` bf16 alone, and only where
    the file states an agreement of 0.999 or more; ``exact`` none.
    """
    if precision == "exact":
        return None
    allowed = _FASTEST if precision == "fast" else _AUTO
    fitting = [
        (allowed.index(variant.precision), path)
        for path, variant in found
        if variant.of == digest
        and variant.precision in allowed
        and variant.precision in able
        and (precision == "fast" or variant.agreement >= _AGREEMENT)
    ]
    return min(fitting)[1] if fitting else None
