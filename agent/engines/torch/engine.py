"""Torch as an `agent.engines.contract.Engine`."""

from __future__ import annotations

from pathlib import Path

import torch

from agent.engines.torch.device import TorchDevice
from agent.engines.torch.loading import check_upload, load
from agent.engines.torch.program import TorchProgram


class TorchEngine:
    """Torch on ``device`` (auto, cpu, cuda, cuda:N), with ``threads`` cores on a CPU.

    Raises `DeviceError`.
    """

    def __init__(self, device: str, threads: int) -> None:
        self._device = TorchDevice(device, threads)

    @property
    def workers(self) -> int:
        """One for each core of a CPU; a GPU runs one batch at a time."""
        return self._device.threads if self._device.is_cpu else 1

    @property
    def precisions(self) -> frozenset[str]:
        """See `TorchDevice.precisions`."""
        return self._device.precisions

    def load(self, path: Path) -> TorchProgram:
        """See `agent.engines.torch.loading.load`."""
        return load(path, self._device)

    @property
    def halves(self) -> tuple[str, ...]:
        """See `TorchDevice.halves`."""
        return self._device.halves

    def load_in(self, path: Path, precision: str) -> TorchProgram:
        """See `agent.engines.contract.ComputesInHalves.load_in`."""
        return load(path, self._device, precision)

    def check_upload(self, path: Path) -> None:
        """See `agent.engines.torch.loading.check_upload`."""
        check_upload(path)

    def prepare_thread(self) -> None:
        """Numbers below 1.2e-38 count as 0, whatever library computes.

        Softmax gives padding such a probability, and CPUs take a hundred times as long for them: in
        batches of different lengths softmax took six times its time, and a third of an int8 model's.
        """
        torch.set_flush_denormal(True)

    def memory_used(self) -> int:
        """See `agent.engines.contract.HasOwnMemory`."""
        return self._device.memory_used()

    def __str__(self) -> str:
        return str(self._device.device)
