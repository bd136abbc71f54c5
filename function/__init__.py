"""The function: HTTP in, labels out. No torch, no model: an agent runs it.

``web`` -> `service` -> `classify` -> `tokens` and ``vaccel_rpc``; only ``web`` knows Flask. May import ``vaccel_rpc``, never
``agent``, ``models`` or torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from function.asgi import AsgiFunction

__version__ = "0.1.0"


def new() -> AsgiFunction:
    """A function for the Knative Functions runtime (func-python)."""
    from function.asgi import AsgiFunction

    return AsgiFunction()
