"""Which files may run in a model's place.

A pure function of the store's variants, of ``--precision`` and of what the engines compute fast on
this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.config import Precision
from vaccel_common.modelfile import VariantOf

#: The precision of the forms whose answers are the original's.
EXACT = "float32"
#: Precisions, the fastest first, as measured (models/README.md).
_FASTEST = ("int8", "bf16")
#: Precisions that ``auto`` accepts, and the share of texts on which a variant must give the
#: original's label.
_AUTO, _AGREEMENT = ("bf16",), 0.999


@dataclass(frozen=True)
class Candidates:
    """The files that may run in a model's place.

    ``groups``: variants, those of one precision together, the best precision first; the quickest of
    the first group of which a file can be loaded runs. ``exact``: forms that compete with the model
    itself where no variant runs. ``halves``: whether the model's own file may compute in half
    precision, where no variant runs and the engine offers it.
    """

    groups: tuple[tuple[Path, ...], ...] = ()
    exact: tuple[Path, ...] = ()
    halves: bool = False


def choose(
    digest: str, variants: Sequence[tuple[Path, VariantOf]], precision: Precision, computes: Callable[[Path, str], bool]
) -> Candidates:
    """The candidates among ``variants`` for the model with that digest.

    ``computes``: whether a file of a precision runs rightly here, and faster than float32. A ``precision``
    of ``fast`` takes such variants, and halves; ``auto`` takes bf16 alone, and only where the file states an agreement
    of 0.999 or more; ``exact`` takes exact forms alone, and ``registered`` nothing.
    """
    if precision == "registered":
        return Candidates()
    allowed = {"exact": (), "auto": _AUTO, "fast": _FASTEST}[precision]
    files = [(path, variant) for path, variant in variants if variant.of == digest]
    groups = (
        tuple(
            path
            for path, variant in files
            if variant.precision == each and (precision == "fast" or variant.agreement >= _AGREEMENT) and computes(path, each)
        )
        for each in allowed
    )
    exact = tuple(path for path, variant in files if variant.precision == EXACT)
    return Candidates(tuple(group for group in groups if group), exact, halves=precision == "fast")
