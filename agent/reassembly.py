"""Reassembles the arguments of a GenopStream, which come in parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.endpoints import MAX_ARGS, Buffer, Endpoint, decode, spoken, too_many_args
from agent.sessions import Scope
from vaccel_rpc.errors import InvalidArgument


@dataclass
class _Argument:
    """An argument as far as it has arrived.

    ``first``: the message of its first part; ``data``: the bytes of all parts. They are not joined
    in the message: it would keep every intermediate result.
    """

    first: Any
    part_no: int
    data: bytearray


class GenopReassembler:
    """The arguments of one call of ``scope``. ``limit``: bytes of all requests together."""

    def __init__(self, endpoint: Endpoint, scope: Scope, limit: int) -> None:
        self._endpoint, self._told, self._limit = endpoint, scope.spoken, limit
        #: Requests before the first that tells the call's dialect. Joined, they are one message.
        self._untold = bytearray()
        self._session = 0
        self._read: list[_Argument] = []
        self._write: list[_Argument] = []
        self._held = 0

    def add(self, payload: Buffer) -> None:
        """Adds the parts in one more request. Raises `InvalidArgument`."""
        self._held += len(payload)
        if self._held > self._limit:
            raise InvalidArgument(f"the arguments exceed {self._limit} bytes, the limit (--max-message)")
        endpoint = spoken(self._endpoint, self._told, payload)
        if endpoint is None:
            self._untold += payload
        else:
            self._decode_untold(endpoint)
            self._decode(endpoint, payload)

    def request(self) -> tuple[Endpoint, Any]:
        """The endpoint in the call's dialect, and the reassembled request.

        Raises `InvalidArgument` where a part is missing.
        """
        endpoint = spoken(self._endpoint, self._told, b"") or self._endpoint
        self._decode_untold(endpoint)
        request = endpoint.method.request(session_id=self._session)
        _join(self._read, request.read_args)
        _join(self._write, request.write_args)
        for i, arg in enumerate(request.read_args):
            _check_complete(arg, f"read_args[{i}]")
        for i, arg in enumerate(request.write_args):
            _check_complete(arg, f"write_args[{i}]", unallocated=endpoint.dialect.unallocated(arg))
        return endpoint, request

    def _decode_untold(self, endpoint: Endpoint) -> None:
        untold, self._untold = self._untold, bytearray()
        if untold:
            self._decode(endpoint, untold)

    def _decode(self, endpoint: Endpoint, payload: Buffer) -> None:
        part, _ = decode(endpoint, payload)
        self._session = part.session_id or self._session
        for arg in part.read_args:
            _append(self._read, arg, "read_args")
        for arg in part.write_args:
            _append(self._write, arg, "write_args")


def _append(args: list[_Argument], arg: Any, field: str) -> None:
    last = args[-1] if args else None
    if last is not None and last.part_no < last.first.parts:
        if arg.part_no != last.part_no + 1 or arg.parts != last.first.parts:
            raise InvalidArgument(
                f"{field}: part {arg.part_no} of {arg.parts} came after part {last.part_no} of {last.first.parts}"
            )
        last.data += arg.buf
        last.part_no = arg.part_no
    elif arg.parts and arg.part_no != 1:
        raise InvalidArgument(f"{field}: the first part is number {arg.part_no}, not 1")
    elif len(args) == MAX_ARGS:
        raise too_many_args()
    else:
        args.append(_Argument(arg, arg.part_no, bytearray(arg.buf)))


def _join(args: list[_Argument], into: Any) -> None:
    for arg in args:
        message = into.add()
        message.CopyFrom(arg.first)
        if message.part_no != arg.part_no:
            message.part_no, message.buf = arg.part_no, bytes(arg.data)


def _check_complete(arg: Any, where: str, *, unallocated: bool = False) -> None:
    if arg.parts and (arg.part_no != arg.parts or (arg.size != len(arg.buf) and not unallocated)):
        raise InvalidArgument(f"{where} ended at part {arg.part_no} of {arg.parts}, {len(arg.buf)} of {arg.size} bytes")
