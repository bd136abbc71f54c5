"""Which variant of a model runs in its place.

A pure function of the store's variants, of ``--precision`` and of the precisions that the machine
is fast at.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from agent.config import Precision
from vaccel_common.modelfile import VariantOf

#: Precisions, the fastest first, as measured (models/README.md).
_FASTEST = ("int8", "bf16")
#: Precisions that ``auto`` accepts, and the share of texts on which a variant must give the
#: original's label.
_AUTO, _AGREEMENT = ("bf16",), 0.999


def choose(digest: str, variants: Sequence[tuple[Path, VariantOf]], precision: Precision, fast: Collection[str]) -> Path | None:
    """The file among ``variants`` to run for the model with that digest; None: the model itself.

    ``fast``: precisions that this machine computes faster than float32. A ``precision`` of ``fast``
    takes the fastest of them; ``auto`` takes bf16 alone, and only where the file states an
    agreement of 0.999 or more; ``exact`` takes none.
    """
    if precision == "exact":
        return None
    allowed = _FASTEST if precision == "fast" else _AUTO
    candidates = [
        (allowed.index(variant.precision), path)
        for path, variant in variants
        if variant.of == digest
        and variant.precision in allowed
        and variant.precision in fast
        and (precision == "fast" or variant.agreement >= _AGREEMENT)
    ]
    return min(candidates)[1] if candidates else None
