"""Methods of vAccel that this agent knows and does not support: their plugins are missing."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message

from agent.calls import Handler, IncomingCall
from vaccel_rpc.dialects import TENSORFLOW, TENSORFLOW_LITE
from vaccel_rpc.errors import Unimplemented


async def classify_image(call: IncomingCall) -> Message:
    """ImageClassification."""
    call.session()
    raise _missing("ImageClassification", "image classification")


def _refusing(method: str, plugin: str) -> Handler:
    async def refuse(_: IncomingCall) -> Message:
        raise _missing(method, plugin)

    return refuse


def _missing(method: str, plugin: str) -> Unimplemented:
    return Unimplemented(f"{method}: this agent has no {plugin} plugin, only the Torch plugin")


HANDLERS: Mapping[str, Handler] = {
    "classify_image": classify_image,
    **{method: _refusing(method, "TensorFlow") for method in TENSORFLOW},
    **{method: _refusing(method, "TensorFlow Lite") for method in TENSORFLOW_LITE},
}
