"""vAccel's generic operation."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from agent.calls import Handler, IncomingCall
from agent.operations.images import ImageOperations
from vaccel_rpc.errors import InvalidArgument, Unimplemented
from vaccel_rpc.wire import Parts, field_head, size

_log = logging.getLogger("agent.ops.genop")

#: Number of the write arguments in the reply.
_WRITE_ARGS = 1
_ZEROS = memoryview(bytes(1 << 20))


class GenericOperations:
    """Genop and GenopStream. ``max_message``: bytes of a message."""

    def __init__(self, images: ImageOperations, max_message: int) -> None:
        self._images, self._max_message = images, max_message

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """By operation."""
        return {"genop": self.genop, "genop_stream": self.genop}

    async def genop(self, call: IncomingCall) -> Message | Parts:
        """Genop and GenopStream: NOOP, which gives its write arguments back, and IMAGE_CLASSIFY."""
        call.session()
        number = _number(call)
        if number == call.dialect.noop:
            _log.info("session:%d NOOP", call.request.session_id)
            return _written(call, self._missing(call))
        if number == call.dialect.classify_image:
            missing = self._missing(call)
            return _written(call, [await self._classify_image(call), *missing[1:]])
        if number in call.dialect.exec:
            raise Unimplemented(f"operation {number} (EXEC): this agent never runs client code")
        known = f"NOOP ({call.dialect.noop}) and IMAGE_CLASSIFY ({call.dialect.classify_image})"
        raise Unimplemented(f"operation {number}: this agent implements only {known}")

    async def _classify_image(self, call: IncomingCall) -> int:
        """Writes the label into the first write argument; the number of zeros up to its size.

        libvaccel's second write argument is the name of an output image; there is none.
        """
        read, write = call.request.read_args, call.request.write_args
        if len(read) != 2 or not write:
            raise InvalidArgument(
                "image classification reads one argument after the operation's number, the image, and writes the label"
                f" into its first write argument; the request has {len(read) - 1} and {len(write)}"
            )
        room = write[0].size or len(write[0].buf)
        if room > self._max_message:
            raise InvalidArgument(f"the first write argument has {room} bytes, more than the limit of {self._max_message}")
        label = await self._images.label(call, read[1].buf)
        if len(label) >= room:
            raise InvalidArgument(f"the label needs {len(label) + 1} bytes with its NUL; the write argument has {room}")
        write[0].buf, write[0].size = label, room
        return room - len(label)

    def _missing(self, call: IncomingCall) -> list[int]:
        """How many bytes of each write argument were not sent along, and are to be given back."""
        missing = []
        for arg in call.request.write_args:
            unallocated = call.dialect.unallocated(arg)
            if unallocated and arg.buf:
                raise InvalidArgument(f"a write argument is unallocated, and yet {len(arg.buf)} bytes were sent along")
            missing.append(arg.size if unallocated else 0)
        if sum(missing) > self._max_message:
            raise InvalidArgument(
                f"the unallocated write arguments need {sum(missing)} bytes, more than the limit of {self._max_message}"
                " (--max-message)"
            )
        return missing


def _written(call: IncomingCall, missing: list[int]) -> Message | Parts:
    """The reply with the write arguments, and zeros after their bytes for those that are missing."""
    args = call.request.write_args
    for arg in args:
        if call.dialect.unallocated(arg):
            arg.ClearField("unallocated")
    if not any(missing):
        return call.reply("genop", write_args=args)
    parts: list[bytes | memoryview] = []
    for arg, zeros in zip(args, missing, strict=True):
        data = [arg.buf, *_zeros(zeros)]
        arg.ClearField("buf")
        head = arg.SerializeToString() + (field_head(_buf_number(arg), size(data)) if any(data) else b"")
        parts += [field_head(_WRITE_ARGS, len(head) + size(data)), head, *data]
    return parts


def _buf_number(arg: Any) -> int:
    number: int = arg.DESCRIPTOR.fields_by_name["buf"].number
    return number


def _zeros(size: int) -> list[memoryview]:
    """So many zeros, which take no memory of their own."""
    whole, rest = divmod(size, len(_ZEROS))
    return [*[_ZEROS] * whole, _ZEROS[:rest]]


def _number(call: IncomingCall) -> int:
    """The operation's number, which is the first read argument."""
    if not call.request.read_args:
        raise InvalidArgument("the first read argument must be the operation's number; there are no arguments")
    first, size = call.request.read_args[0].buf, call.dialect.opcode_size
    if not size <= len(first) <= 8:
        raise InvalidArgument(f"the operation's number has {len(first)} bytes; dialect {call.dialect.version} sends {size}")
    return int.from_bytes(first, "little")
