"""The handler of the parliament runtime (``python -m parliament function``), which imports this file as the module ``func``.

That import is the runtime's only call at a start, so it assembles the function: a wrong setting ends
the process, and the agent is being connected before the first request. An import by the module's own
name, ``function.func``, configures nothing until its ``main`` is taken.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def __getattr__(name: str) -> Callable[[Any], Any]:
    if name != "main":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _handler()


@functools.cache
def _handler() -> Callable[[Any], Any]:
    """The runtime's handler: takes its context, whose ``request`` is Flask's, and returns Flask's response."""
    from function.runtimes.parliament import Parliament

    function = Parliament()
    return lambda context: function.answer(context.request)


if __name__ == "func":
    _handler()
