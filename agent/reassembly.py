"""The parts of a GenopStream's arguments, put together."""

from __future__ import annotations

from typing import Any

from agent.endpoints import Buffer, Endpoint, decode
from vaccel_rpc.errors import InvalidArgument


class GenopReassembler:
    """Joins the parts of a GenopStream's arguments. ``limit``: bytes that all of them may hold."""

    def __init__(self, endpoint: Endpoint, limit: int) -> None:
        self._endpoint, self._limit = endpoint, limit
        self._whole = endpoint.method.request()
        self._held = 0

    def add(self, payload: Buffer) -> None:
        """One more request. Raises `InvalidArgument`."""
        self._held += len(payload)
        if self._held > self._limit:
            raise InvalidArgument(f"the arguments hold more than {self._limit} bytes, the limit (--max-message)")
        part, _ = decode(self._endpoint, payload)
        self._whole.session_id = part.session_id or self._whole.session_id
        for field in ("read_args", "write_args"):
            for arg in getattr(part, field):
                self._add(getattr(self._whole, field), arg, field)

    def request(self) -> Any:
        """The whole request. Raises `InvalidArgument` where a part is missing."""
        for field in ("read_args", "write_args"):
            for i, arg in enumerate(getattr(self._whole, field)):
                if arg.parts and (arg.part_no != arg.parts or arg.size != len(arg.buf)):
                    raise InvalidArgument(
                        f"{field}[{i}] ended at part {arg.part_no} of {arg.parts}, {len(arg.buf)} of {arg.size} bytes"
                    )
        return self._whole

    def _add(self, args: Any, arg: Any, field: str) -> None:
        last = args[-1] if args else None
        if last is not None and last.parts and last.part_no < last.parts:
            if arg.part_no != last.part_no + 1 or arg.parts != last.parts:
                raise InvalidArgument(
                    f"{field}: part {arg.part_no} of {arg.parts} came after part {last.part_no} of {last.parts}"
                )
            last.buf += arg.buf
            last.part_no = arg.part_no
        elif arg.parts and arg.part_no != 1:
            raise InvalidArgument(f"{field}: the first part is number {arg.part_no}, not 1")
        else:
            args.append(arg)
