"""The handler of the parliament runtime (``python -m parliament function``), which loads this file as a module named ``func``."""

from __future__ import annotations

from typing import Any

from function.runtimes.parliament import Parliament

_FUNCTION = Parliament()


def main(context: Any) -> Any:
    """``context.request``: the Flask request; returns the Flask response."""
    return _FUNCTION.answer(context.request)
