"""The dialects of the vAccel RPC as data: services, methods, differences of messages.

0.7 and 0.8 are releases. Between them upstream's main branch spoke others, which are named by the
month in which builds of it began to speak them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from google.protobuf.message import Message

Version = Literal["0.7", "2025-07", "2025-08", "0.8"]

#: Region of a profile -> its samples, each (start, duration) in nanoseconds.
Profile = Mapping[str, list[tuple[int, int]]]


@dataclass(frozen=True)
class Method:
    """A method's name on the wire, and the classes of its two messages.

    ``streams``: the client sends several requests.
    """

    name: str
    request: Any
    reply: Any
    streams: bool = False


@dataclass(frozen=True)
class Dialect:
    """One dialect.

    ``services``: names of its services, and whether GenopStream is one of their methods.
    ``methods``: by operation, without those that the dialect does not have. ``tensor``, ``blob``,
    ``arg``: message classes. ``blobs``, ``outputs``, ``arg_type``: names of the fields for uploaded
    files, the number of outputs and an argument's type. ``blob_path``: field numbers of an uploaded
    file's bytes. ``blob_kind``: fields of an uploaded file that say how its bytes travel.
    ``new_resource``: the id that requests a new resource. ``opcode_size``, ``opcode_type``: bytes
    and type of a Genop's first argument, the operation's number. ``noop``,
    ``classify_image``, ``exec``: such numbers.
    """

    version: Version
    services: Mapping[str, bool]
    methods: Mapping[str, Method]
    tensor: Any
    blob: Any
    arg: Any
    blobs: str
    blob_path: tuple[int, int]
    blob_kind: Mapping[str, int]
    outputs: str
    arg_type: str
    new_resource: int
    opcode_size: int
    noop: int
    classify_image: int
    exec: frozenset[int]
    opcode_type: int
    profile_reply: Callable[[Profile], Message]
    profile_of: Callable[[Any], Profile]

    def blobs_of(self, request: Any) -> Sequence[Any]:
        """The uploaded files of a register request."""
        blobs: Sequence[Any] = getattr(request, self.blobs)
        return blobs

    def unallocated(self, arg: Any) -> bool:
        """Whether a write argument's bytes were not sent along, and are to be given back at its
        ``size``. Only arguments of 0.8 can say so.
        """
        unallocated: bool = getattr(arg, "unallocated", False)
        return unallocated

    def output_count(self, request: Any) -> int:
        """The number of outputs that a run's request expects."""
        count: int = getattr(request, self.outputs)
        return count


def dialect(version: Version) -> Dialect:
    """The dialect of a version, whose messages are imported now."""
    module = import_module(f"vaccel_rpc.dialects.v{version.replace('.', '').replace('-', '')}")
    selected: Dialect = module.DIALECT
    return selected


_VERBS = ("Load", "Unload", "Run")
#: Methods of other plugins, the same in all dialects.
TENSORFLOW = tuple(f"TensorflowModel{verb}" for verb in _VERBS)
TENSORFLOW_LITE = tuple(f"TensorflowLiteModel{verb}" for verb in _VERBS)
