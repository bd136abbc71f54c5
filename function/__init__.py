"""The function: HTTP in, labels out. No torch, no model: an agent runs it.

``web`` -> `service` -> `classify` -> `tokens` and ``vaccel_rpc``; only ``web`` knows Flask. May import ``vaccel_rpc``, never
``agent``, ``models`` or torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vaccel_rpc import __version__ as __version__

if TYPE_CHECKING:
    from function.asgi import AsgiFunction


def new() -> AsgiFunction:
    """A function for the Knative Functions runtime (func-python)."""
    from function.asgi import AsgiFunction

    return AsgiFunction()
