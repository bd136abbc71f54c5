"""The whole seam between the agent and its engines: what an engine is asked for, and what it must give.

A module (`EngineModule`, ``--plugin MODULE``) is opened once, on a device; the `Engine` that it gives loads model files, and each
`Program` runs requests in the agent's worker threads. `agent.engines.layout.Layout` joins and splits requests by a model's
signature, and `agent.engines.cost` fits what batches cost to measured times: an engine may use both.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from agent.engines.cost import Cost
from vaccel_common.modelfile import Signature
from vaccel_rpc.tensors import Tensor


class DeviceError(Exception):
    """There is no such device for this engine; the message says why in one line."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Each request's outputs, and when the model itself began and ended (monotonic seconds)."""

    outputs: list[list[Tensor]]
    began: float
    ended: float


@runtime_checkable
class Program(Protocol):
    """A model in memory: an object that can be hashed and weakly referred to, as any of a plain class."""

    @property
    def signature(self) -> Signature | None:
        """What the model file says of its inputs and outputs; None where it says nothing: its requests are run one by one."""

    @property
    def joinable(self) -> bool:
        """Whether requests may be joined along the signature's batch dimension, and padded along its length."""

    @property
    def cost(self) -> Cost:
        """How long batches take, which says how many requests are worth joining; `agent.engines.cost.UNKNOWN` does too."""

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:
        """Each request's outputs. ``alone``: no other batch runs now, so this one may use every core.

        Raises `RpcError`; where memory ran out, `ResourceExhausted` with ENOMEM.
        """


class Engine(Protocol):
    """An engine that has been opened, on the device that it chose."""

    @property
    def workers(self) -> int:
        """How many batches may run on it at the same time, each in a thread of its own: the cores of a CPU, 1 for a GPU."""

    @property
    def precisions(self) -> Collection[str]:
        """Precisions (int8, bf16) of model variants that it computes faster than float32 on its device."""

    def load(self, path: Path) -> Program:
        """The program in a file, warmed up.

        Raises `InvalidArgument` with the reason where the file is none of its models, `ResourceExhausted` where memory ran out.
        """

    def __str__(self) -> str:
        """Its device, for the log: ``cpu``, ``cuda:0``."""


class EngineModule(Protocol):
    """What ``--plugin`` names: a module with these two."""

    @property
    def SUFFIXES(self) -> Sequence[str]:  # noqa: N802 a constant of a module
        """Of the files it loads, such as ``.pt``. No two engines of an agent may have the same one."""

    def open(self, device: str, threads: int) -> Engine:
        """The engine, on the device that ``--device`` names (``auto``: the best there is), with ``threads`` cores on a CPU.

        Raises `DeviceError`.
        """
