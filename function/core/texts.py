"""What gets one prediction: a text, or two that are classified together."""

from __future__ import annotations

from typing import NamedTuple


class Pair(NamedTuple):
    """Two texts that are classified together, as a question and a passage, or a premise and a hypothesis."""

    text: str
    text_pair: str


Text = str | Pair
