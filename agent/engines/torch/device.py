"""The device on which torch runs models, and the number of cores that it uses."""

from __future__ import annotations

import threading

import torch

from agent.engines.contract import DeviceError, DeviceLost
from agent.engines.torch import cuda
from agent.engines.torch.exceptions import is_memory, last_line, lost_device
from agent.engines.torch.halved import HALVES
from vaccel_common import process


class TorchDevice:
    """A device. ``name``: auto, cpu, cuda or cuda:N; ``threads``: cores to use on a CPU.

    Raises `DeviceError`.
    """

    def __init__(self, name: str, threads: int) -> None:
        torch_name = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
        self.threads = threads
        try:
            self.device = torch.device(torch_name)
            torch.zeros(1, device=self.device)
        except Exception as error:  # noqa: BLE001 torch raises several kinds
            raise DeviceError(str(error).splitlines()[0]) from None
        #: Held by what uses a GPU, which does one thing at a time.
        self.lock = threading.RLock()
        # By worker thread: torch keeps a number of threads for each thread that calls it.
        self._current = threading.local()

    @property
    def is_cpu(self) -> bool:
        """Whether models run on the CPU."""
        return self.device.type == "cpu"

    @property
    def has_graphs(self) -> bool:
        """Whether it can run what was captured as a graph."""
        return self.device.type == "cuda"

    @property
    def halves(self) -> tuple[str, ...]:
        """Half precisions in which it may compute a model faster."""
        if self.device.type != "cuda":
            return ()
        return tuple(name for name in HALVES if name != "bf16" or cuda.computes_bf16(self.device))

    @property
    def precisions(self) -> frozenset[str]:
        """Precisions of variants that this machine computes faster than float32, and correctly.

        torch's int8 without AVX-512 VNNI can overflow.
        """
        features = torch.cpu.get_capabilities() if self.is_cpu else {}
        supported = {"int8": features.get("avx512_vnni"), "bf16": features.get("avx512_bf16") or features.get("amx_bf16")}
        return frozenset(precision for precision, is_supported in supported.items() if is_supported)

    def loss(self, error: BaseException) -> DeviceLost | None:
        """The loss of the device, if that is what ``error`` shows; None where the device still works.

        Libraries beside CUDA report it by messages of their own, so the device is tried.
        """
        if self.is_cpu or is_memory(error):
            return None
        if lost := lost_device(error):
            return lost
        try:
            torch.ones(1, device=self.device).item()
        except Exception as second:  # noqa: BLE001 torch raises several kinds
            return None if is_memory(second) else lost_device(second) or DeviceLost(last_line(second))
        return None

    def memory_used(self) -> int:
        """Bytes that the process holds: on a GPU, of its memory; on the CPU, of all."""
        if self.is_cpu:
            return process.resident_memory()
        with self.lock:
            return cuda.memory_used(self.device)

    def use_threads(self, count: int) -> None:
        """Lets the next runs of the calling thread use ``count`` cores."""
        if self.is_cpu and getattr(self._current, "threads", None) != count:
            torch.set_num_threads(count)
            self._current.threads = count
