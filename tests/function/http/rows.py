"""The whole table."""

from __future__ import annotations

from tests.function.http import rows_chunks, rows_deadlines, rows_expect, rows_heads, rows_lengths, rows_streams, rows_targets
from tests.function.http.table import Row

#: What a library frames by itself, whatever runs behind it.
FRAMING: list[Row] = [*rows_lengths.ROWS, *rows_chunks.ROWS, *rows_heads.ROWS]

ROWS: list[Row] = [*FRAMING, *rows_targets.ROWS, *rows_expect.ROWS, *rows_deadlines.ROWS, *rows_streams.ROWS]
