"""The handler of the parliament runtime (``python -m parliament function``), which loads this file as a module named ``func``.

The runtime has no call for a start: it loads the module and takes ``main``. Taking it assembles the
function, so that a wrong setting ends the process and the agent is being connected before the first
request; an import alone configures nothing.
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
