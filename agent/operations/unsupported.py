"""Methods of vAccel that this agent knows and does not support: their plugins are missing."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message

from agent.calls import Handler, IncomingCall
from vaccel_rpc.dialects import TENSORFLOW, TENSORFLOW_LITE
from vaccel_rpc.errors import Unimplemented


def _refusing(method: str, plugin: str) -> Handler:
    async def refuse(_: IncomingCall) -> Message:
        raise Unimplemented(f"{method}: this agent has no {plugin} plugin, only the Torch plugin")

    return refuse


HANDLERS: Mapping[str, Handler] = {
    **{method: _refusing(method, "TensorFlow") for method in TENSORFLOW},
    **{method: _refusing(method, "TensorFlow Lite") for method in TENSORFLOW_LITE},
}
