"""vAccel's generic operation."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from google.protobuf.message import Message

from agent.calls import Handler, IncomingCall
from vaccel_rpc.errors import InvalidArgument, Unimplemented

_log = logging.getLogger("agent.ops.genop")


async def genop(call: IncomingCall) -> Message:
    """Genop and GenopStream: NOOP alone."""
    call.session()
    if not call.request.read_args:
        raise InvalidArgument("the first read argument must be the operation's number; there are no arguments")
    first, size = call.request.read_args[0].buf, call.dialect.opcode_size
    if not size <= len(first) <= 8:
        raise InvalidArgument(f"the operation's number has {len(first)} bytes; dialect {call.dialect.version} sends {size}")
    number = int.from_bytes(first, "little")
    if number == call.dialect.noop:
        _log.info("session:%d NOOP", call.request.session_id)
        return call.reply("genop", write_args=call.request.write_args)
    if number in call.dialect.exec:
        raise Unimplemented(f"operation {number} (EXEC): this agent never runs client code")
    raise Unimplemented(f"operation {number}: this agent implements only NOOP ({call.dialect.noop})")


HANDLERS: Mapping[str, Handler] = {"genop": genop, "genop_stream": genop}
