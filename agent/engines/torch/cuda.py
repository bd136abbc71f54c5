"""The calls of CUDA: graphs, and the memory that they hold.

Nothing here has run in the project's tests, which have no GPU; what uses it is tested with a stand-in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import torch

from agent.engines.torch.capturing import FixedRun

#: Runs before a capture. Libraries prepare themselves in the first, which cannot be captured.
_WARM_UP = 3
#: The part of the device's memory that the graphs of one program may hold.
_SHARE = 0.1


class CudaCapturer:
    """See `agent.engines.torch.capturing.Capturer`. The graphs share one pool of memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)
        self.limit = int(_SHARE * torch.cuda.get_device_properties(device).total_memory)

    def host(self, dims: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Pinned memory."""
        return torch.empty(tuple(dims), dtype=dtype, pin_memory=True)

    def capture(self, run: FixedRun) -> tuple[Callable[[], None], list[torch.Tensor]]:
        """See `Capturer.capture`.

        The warm-up is on the stream of the capture, as cuBLAS prepares itself for each.
        """
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize(self._device)
        # The stream is entered twice: where a capture fails, torch.cuda.graph does not leave it.
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            for _ in range(_WARM_UP):
                run()
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                outputs = run()
        torch.cuda.synchronize(self._device)
        return graph.replay, outputs

    @property
    def memory(self) -> int:
        """Bytes of the pool."""
        segments: Any = torch.cuda.memory_snapshot(include_traces=False)
        return sum(segment["total_size"] for segment in segments if segment["segment_pool_id"] == self._pool)


def memory_used(device: torch.device) -> int:
    """Bytes that the process holds there: tensors, and what graphs keep for those of their next run."""
    # What was freed is given back first, the memory of graphs that are gone, too. A capture that has
    # failed, or a device that has, may not allow it.
    with contextlib.suppress(RuntimeError):
        torch.cuda.empty_cache()
    return torch.cuda.memory_reserved(device)


def computes_bf16(device: torch.device) -> bool:
    """Whether it multiplies bfloat16 itself."""
    with torch.cuda.device(device):
        supported: bool = torch.cuda.is_bf16_supported(including_emulation=False)
    return supported
