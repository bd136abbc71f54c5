"""Where torch runs models, and with how many cores."""

from __future__ import annotations

import threading

import torch

from agent.engines.contract import DeviceError


class TorchDevice:
    """Where models run. ``name``: auto, cpu, cuda or cuda:N; ``threads``: cores to use on a CPU. Raises `DeviceError`."""

    def __init__(self, name: str, threads: int) -> None:
        wanted = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
        self.threads = threads
        try:
            self.device = torch.device(wanted)
            torch.zeros(1, device=self.device)
        except Exception as error:  # noqa: BLE001 torch raises several kinds
            raise DeviceError(str(error).splitlines()[0]) from None
        # One context for each worker thread: torch keeps the number of threads for each thread that calls it.
        self._now = threading.local()

    @property
    def is_cpu(self) -> bool:
        """Whether models run on the CPU."""
        return self.device.type == "cpu"

    @property
    def precisions(self) -> frozenset[str]:
        """Those of variants that this machine computes faster than float32, and right: int8 without VNNI can overflow."""
        has = torch.cpu.get_capabilities() if self.is_cpu else {}
        able = {"int8": has.get("avx512_vnni"), "bf16": has.get("avx512_bf16") or has.get("amx_bf16")}
        return frozenset(precision for precision, there in able.items() if there)

    def use_threads(self, count: int) -> None:
        """Lets this thread's next runs use ``count`` cores."""
        if self.is_cpu and getattr(self._now, "threads", None) != count:
            torch.set_num_threads(count)
            self._now.threads = count
