"""What runtimes whose servers are not ours do otherwise than the table says.

Each is asserted, so that a change is noticed; none of it can be seen, or refused, by the application behind that server.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.function.http import deviations_func, deviations_parliament
from tests.function.http.table import Row


@dataclass(frozen=True)
class Deviation:
    """What is seen instead of a row's outcome, and why."""

    outcome: str
    why: str


def _by_row(table: dict[str, dict[str, tuple[str, ...]]]) -> dict[str, Deviation]:
    return {
        name: Deviation(outcome, why) for why, outcomes in table.items() for outcome, names in outcomes.items() for name in names
    }


#: By runtime, then by the row's name.
DEVIATIONS: dict[str, dict[str, Deviation]] = {
    "func": _by_row(deviations_func.HYPERCORN),
    "parliament": _by_row(deviations_parliament.WAITRESS),
}


def deviation(runtime: str, row: Row) -> Deviation | None:
    """Where ``runtime`` differs, if it does."""
    return DEVIATIONS.get(runtime, {}).get(row.name)
