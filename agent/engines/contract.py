"""The whole seam between the agent and its engines: what an engine receives and returns.

A module (`EngineModule`, ``--plugin MODULE``) is opened once, on a device. The `Engine` that it
returns loads model files, and each `Program` runs requests in the agent's worker threads.
`agent.engines.layout.Layout` joins and splits requests by a model's signature, and
`agent.engines.cost` fits the cost of batches to measured times; an engine may use both.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from agent.engines.cost import Cost
from vaccel_common.modelfile import Signature
from vaccel_common.records import record
from vaccel_rpc.errors import Internal, InvalidArgument, RpcError, Unavailable
from vaccel_rpc.tensors import Tensor

#: Bytes: the default of ``--max-upload-memory``.
UPLOAD_MEMORY = 2 << 30


def without_elements(inputs: Sequence[Tensor]) -> InvalidArgument | None:
    """What is raised for the first of the inputs that has no elements, where a model does not run with such; None: each has some."""
    for i, tensor in enumerate(inputs):
        if 0 in tensor.dims:
            shape = f"{tensor.dtype} {list(tensor.dims)}"
            return InvalidArgument(f"in_tensors[{i}] is {shape}: the model does not run without elements")
    return None


class DeviceError(Exception):
    """The engine has no such device; the message says why in one line."""


class DeviceLost(Exception):
    """The device has failed for good: whatever this process does there fails from now on.

    The agent runs nothing more, is not ready, and ends; a new process may find the device in order.
    ``by_run``: the run itself may be the reason, as with a device-side assert, so that no other
    agent is given it. False where the device alone is, as with an uncorrectable memory error.
    """

    def __init__(self, reason: str, *, by_run: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.by_run = reason, by_run

    @property
    def failure(self) -> RpcError:
        """What the clients get whose runs ended so; `Unavailable` may be run again elsewhere."""
        message = f"the agent's device is lost: {self.reason}"
        return Internal(message, errno=errno.EIO) if self.by_run else Unavailable(message)


@record
class Batch:
    """Each request's outputs, and when the model itself began and ended (monotonic seconds)."""

    outputs: list[list[Tensor]]
    began: float
    ended: float


@runtime_checkable
class Program(Protocol):
    """A model in memory.

    It must be hashable and weakly referable, as objects of plain classes are.
    """

    @property
    def signature(self) -> Signature | None:
        """The model file's description of its inputs and outputs.

        None where the file has none; its requests then run one by one.
        """

    @property
    def joinable(self) -> bool:
        """Whether requests may be joined along the batch dimension and padded along the length.

        The signature names the two dimensions.
        """

    @property
    def cost(self) -> Cost:
        """The time of batches, by which the agent decides how many requests are worth joining.

        An engine that does not measure it returns `agent.engines.cost.UNKNOWN`.
        """

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:
        """Each request's outputs.

        ``alone``: no other batch runs now, so this one may use every core. Raises `RpcError`; where
        memory ran out, `ResourceExhausted` with ENOMEM; `DeviceLost`.
        """


class Engine(Protocol):
    """An opened engine, on the device that it chose."""

    @property
    def workers(self) -> int:
        """How many batches may run at the same time, each in a thread of its own.

        Typically the cores of a CPU, and 1 for a GPU.
        """

    @property
    def precisions(self) -> Collection[str]:
        """Precisions of variants (int8, bf16) that it computes rightly here, and faster than float32."""

    def load(self, path: Path) -> Program:
        """The program in a file, warmed up.

        Raises `InvalidArgument` with the reason where the file is not one of the engine's models,
        `ResourceExhausted` where memory ran out, `DeviceLost`.
        """

    def check_upload(self, path: Path) -> None:
        """Raises `InvalidArgument` unless a client's file is a model that is safe to load.

        A file that came alone has no suffix; the agent asks an engine that ships, which it tells by
        the bytes. Of several files this is the model, and the others are beside it.
        """

    def __str__(self) -> str:
        """Its device, for the log: ``cpu``, ``cuda:0``."""


@runtime_checkable
class RefersToFiles(Protocol):
    """What an engine has besides, if its models may keep their weights in other files.

    Such a model loads with these files beside it, by the same names.
    """

    def external_files(self, path: Path) -> Sequence[str]:
        """The names of the files that the model's file refers to, relative to its folder.

        Raises `InvalidArgument` where it is not one of the engine's models, or refers to a place
        outside of its folder.
        """


@runtime_checkable
class BoundsUploads(Protocol):
    """What an engine has besides, if clients' files run within limits: the agent calls these then.

    ``memory``: bytes that each may use, beside those of the files (``--max-upload-memory``).
    """

    def try_upload(self, path: Path, others: Sequence[str], memory: int, given_up: threading.Event) -> None:
        """See `Engine.check_upload`; ``others``: the names of the files beside it that it refers to.

        ``given_up`` is set when nobody waits for the outcome any more: the trial should end then, by
        any `RpcError`.
        """

    def load_upload(self, path: Path, memory: int, name: str) -> Program:
        """See `Engine.load`; for a file that `try_upload` let pass. ``name``: the client's for the model."""


@runtime_checkable
class HasOwnMemory(Protocol):
    """What an engine has besides, if its models may be in the memory of a device."""

    def memory_used(self) -> int:
        """Bytes that are in use there now, or by the process where the device is the CPU."""


@runtime_checkable
class PreparesThreads(Protocol):
    """What an engine has besides, if threads compute faster once they are prepared."""

    def prepare_thread(self) -> None:
        """Prepares the calling thread, and so all that it starts from now on."""


@runtime_checkable
class ComputesInHalves(Protocol):
    """What an engine has besides, if its device may compute a model faster in half precision."""

    @property
    def halves(self) -> Sequence[str]:
        """The names of such precisions, that of the smaller errors first; none on a device without them."""

    def load_in(self, path: Path, precision: str) -> Program:
        """See `Engine.load`: a program of the same inputs and outputs that computes in that precision.

        Raises `InvalidArgument`, too, where it has nothing to compute so. Whether it is right and
        quicker is for the agent to find out.
        """


class EngineModule(Protocol):
    """The two names that a ``--plugin`` module must have."""

    @property
    def SUFFIXES(self) -> Sequence[str]:  # noqa: N802 a constant of a module
        """Suffixes of the files it loads, such as ``.pt``; no two engines may share one."""

    def open(self, device: str, threads: int) -> Engine:
        """The engine, on the device that ``--device`` names.

        ``auto`` means the best device there is; ``threads``: cores to use on a CPU. Raises
        `DeviceError`.
        """
