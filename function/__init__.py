"""The function: HTTP in, labels out. No torch, no model: an agent runs it.

``server`` -> ``web`` -> ``core`` -> ``vaccel_rpc``; only ``web`` knows Flask, only ``server`` uvicorn. ``assembly`` puts the parts
together, for our own server (``python -m function``) and for the ``runtimes`` of others; ``cli`` is the command line. May import
``vaccel_common`` and ``vaccel_rpc``, never ``agent`` or torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vaccel_common.missing import explain_tools
from vaccel_rpc import __version__ as __version__

if TYPE_CHECKING:
    from function.runtimes.func_python import AsgiFunction

explain_tools(__name__, "install-agent, or the wheel with its dependencies", names={"function.classifier": "vaccel-classifier"})


def new() -> AsgiFunction:
    """A function for the Knative Functions runtime (func-python)."""
    from function.runtimes.func_python import AsgiFunction

    return AsgiFunction()
