"""Which requests run together, as tables."""

from __future__ import annotations

import pytest

from agent.engines.cost import UNKNOWN, Cost
from agent.engines.layout import Shape
from agent.packing import BatchLimits, pack, why
from tests.support.programs import K

#: A batch takes 10, and 1 for each token.
TOKENS = Cost(10, 0, 1, 0)
#: The same of the tokens without padding; and a tenth for each pair of positions of a text.
UNPADDED, PAIRS = Cost(10, 0, 1, 0, pads=False), Cost(10, 0, 1, 0.1, pads=False)


@pytest.mark.parametrize(
    ("waiting", "limits", "cost", "chosen"),
    [
        ([(K, 10, 1)], BatchLimits(), UNKNOWN, [0]),
        ([(None, 0, 1), (None, 0, 1)], BatchLimits(), UNKNOWN, [0]),
        ([(K, 10, 1), (None, 0, 1), (K, 10, 1)], BatchLimits(), UNKNOWN, [0, 2]),
        ([(K, 10, 1), ("other", 10, 1)], BatchLimits(), UNKNOWN, [0]),
        ([(K, 10, 1)] * 5, BatchLimits(rows=4), UNKNOWN, [0, 1, 2, 3]),
        ([(K, 10, 2)] * 3, BatchLimits(rows=5), UNKNOWN, [0, 1]),
        ([(K, 10, 9), (K, 10, 1)], BatchLimits(rows=8), UNKNOWN, [0]),
        ([(K, 10, 1), (K, 30, 1), (K, 20, 1)], BatchLimits(rows=2), UNKNOWN, [0, 2]),
        ([(K, 10, 1)] * 5, BatchLimits(tokens=30), UNKNOWN, [0, 1, 2]),
        ([(K, 99, 1)], BatchLimits(tokens=30), UNKNOWN, [0]),
        # Together 10 + 2 * 20, apart 20 + 30: equal, so together where padding may cost all that is
        # saved. One token more is too much.
        ([(K, 10, 1), (K, 20, 1)], BatchLimits(padding=1), TOKENS, [0, 1]),
        ([(K, 10, 1), (K, 21, 1)], BatchLimits(padding=1), TOKENS, [0]),
        ([(K, 21, 1), (K, 10, 1), (K, 12, 1)], BatchLimits(padding=1), TOKENS, [0, 2]),
        # Half of the 10 that are saved is 5 tokens of padding, of the rows before or of the new one.
        ([(K, 10, 1), (K, 15, 1)], BatchLimits(), TOKENS, [0, 1]),
        ([(K, 10, 1), (K, 16, 1)], BatchLimits(), TOKENS, [0]),
        ([(K, 21, 1), (K, 15, 1), (K, 16, 1)], BatchLimits(), TOKENS, [0, 2]),
        ([(K, 10, 1), (K, 10, 1), (K, 13, 1)], BatchLimits(), TOKENS, [0, 1]),
        # A tenth of 100 is the fixed 10: 9 rows of 10 tokens, and no tenth.
        ([(K, 10, 1)] * 12, BatchLimits(overhead=0.1), TOKENS, [*range(9)]),
        ([(K, 10, 9), (K, 10, 1)], BatchLimits(overhead=0.1), TOKENS, [0]),
        ([(K, 500, 1), (K, 500, 1)], BatchLimits(overhead=0.1), TOKENS, [0]),
        # Of more than 16 one of the younger half would delay the others by 30 tokens, and save 10. One of 10 tokens may.
        ([(K, 30, 1), *[(K, 99, 1)] * 14, *[(K, 30, 1)] * 4], BatchLimits(), TOKENS, [0, 15]),
        ([(K, 30, 1), *[(K, 99, 1)] * 18, *[(K, 30, 1)] * 21], BatchLimits(), TOKENS, [0, 19]),
        ([(K, 10, 1), *[(K, 99, 1)] * 18, *[(K, 10, 1)] * 2], BatchLimits(), TOKENS, [0, 19, 20]),
        # Without padding requests run in their order, whatever their lengths, the younger half too,
        ([(K, 10, 1), (K, 60, 1), (K, 11, 1)], BatchLimits(rows=2), UNPADDED, [0, 1]),
        ([(K, 30, 1), *[(K, 99, 1), (K, 1, 1)] * 2], BatchLimits(overhead=0.06), UNPADDED, [0, 1, 2, 4]),
        ([(K, 9, 1)] * 24, BatchLimits(), UNPADDED, [*range(21)]),
        # but for what attention takes: 4 and 20 positions take 1.6 and 40 apart, and 80 together.
        ([(K, 4, 1), (K, 20, 1), (K, 4, 1)], BatchLimits(), PAIRS, [0, 2]),
        # Nothing fixed: nothing to win.
        ([(K, 10, 1)] * 2, BatchLimits(), Cost(0, 0, 1, 0), [0]),
    ],
)
def test_pack(waiting: list[tuple[str | None, int, int]], limits: BatchLimits, cost: Cost, chosen: list[int]) -> None:
    """The oldest always runs; its nearest in length of the same key join while limits allow and it saves more than its padding
    costs, and of the younger half more than it delays others.
    """
    assert pack([Shape(*shape) for shape in waiting], limits, cost) == chosen


@pytest.mark.parametrize(
    ("waiting", "chosen", "share", "reason"),
    [
        ([(None, 0, 1), (K, 10, 1)], [0], 8, "single"),
        ([(K, 10, 1)] * 9, [*range(8)], 8, "full"),
        ([(K, 10, 1)] * 3, [0, 1, 2], 8, "drained"),
        ([(K, 10, 1)] * 4, [0, 1], 2, "shared"),
        ([(K, 10, 1), (K, 99, 1)], [0], 8, "length"),
        ([(K, 10, 1), ("other", 10, 1)], [0], 8, "length"),
        ([(K, 30, 1)] * 4, [0, 1, 2], 8, "tokens"),
        ([(K, 60, 1)] * 4, [0], 8, "tokens"),
    ],
)
def test_why_a_batch_is_no_larger(waiting: list[tuple[str | None, int, int]], chosen: list[int], share: int, reason: str) -> None:
    """Each batch has one reason, the first that holds; the time or the memory of a larger one are both ``tokens``."""
    limits = BatchLimits(rows=8, overhead=0.1, tokens=100)
    assert why([Shape(*shape) for shape in waiting], chosen, BatchLimits(rows=share, tokens=100), limits, TOKENS) == reason
