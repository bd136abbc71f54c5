"""Few shapes of batches, one of which holds any batch up to the largest: sizes are powers of two, or 1.5 times one."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Collection, Iterator
from dataclasses import dataclass

#: Rows, and the length of each.
BatchShape = tuple[int, int]


def sizes(smallest: int, largest: int) -> tuple[int, ...]:
    """Powers of two and 1.5 times them from ``smallest`` on, and ``largest`` as the last."""
    steps = (size for power in itertools.count() for size in (1 << power, 3 << power >> 1))
    between = itertools.takewhile(lambda size: size < largest, (size for size in steps if size >= smallest))
    return (*dict.fromkeys(between), largest)


@dataclass(frozen=True)
class Buckets:
    """The shapes of all ``rows`` and ``lengths``, each in ascending order, of at most ``largest`` tokens.

    ``used``: those to which batches are padded; a batch of any other one runs in its own shape.
    """

    rows: tuple[int, ...]
    lengths: tuple[int, ...]
    largest: int
    used: Collection[BatchShape] = frozenset()

    def __iter__(self) -> Iterator[BatchShape]:
        """The shapes, those of the fewest tokens first."""
        shapes = (shape for shape in itertools.product(self.rows, self.lengths) if shape[0] * shape[1] <= self.largest)
        return iter(sorted(shapes, key=lambda shape: (shape[0] * shape[1], shape)))

    def least(self, shape: BatchShape) -> BatchShape:
        """The smallest batch that falls into this bucket."""
        rows, lengths = self.rows.index(shape[0]), self.lengths.index(shape[1])
        return (self.rows[rows - 1] + 1 if rows else 1), (self.lengths[lengths - 1] + 1 if lengths else 1)

    def bucket(self, rows: int, length: int) -> BatchShape | None:
        """The bucket into which a batch of ``rows`` rows of ``length`` falls; None for one that is too large."""
        row, column = bisect_left(self.rows, rows), bisect_left(self.lengths, length)
        return (self.rows[row], self.lengths[column]) if row < len(self.rows) and column < len(self.lengths) else None

    def shape(self, rows: int, length: int) -> BatchShape:
        """The shape in which such a batch runs."""
        bucket = self.bucket(rows, length)
        return bucket if bucket and bucket in self.used else (rows, length)
