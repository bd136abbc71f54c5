"""Sessions, and what the agent measured for them."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message

from agent import profiling
from agent.calls import Handler, IncomingCall
from vaccel_rpc import draining


async def create_session(call: IncomingCall) -> Message:
    """CreateSession."""
    session = call.scope.create(call.request.flags, announced=draining.announced(call.metadata))
    return call.reply("create_session", session_id=session.id)


async def update_session(call: IncomingCall) -> Message:
    """UpdateSession."""
    call.session().flags = call.request.flags
    return call.reply("update_session")


async def destroy_session(call: IncomingCall) -> Message:
    """DestroySession: its references to resources go too."""
    call.scope.destroy(call.request.session_id)
    return call.reply("destroy_session")


async def profile(call: IncomingCall) -> Message:
    """GetProfiler, GetTimers."""
    return call.dialect.profile_reply(profiling.named(call.session()))


HANDLERS: Mapping[str, Handler] = {
    "create_session": create_session,
    "update_session": update_session,
    "destroy_session": destroy_session,
    "profile": profile,
}
