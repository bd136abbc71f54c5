"""What the engine needs of a device to run batches as graphs: the seam between it and CUDA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch

#: A run of a model on tensors that stay where they are.
FixedRun = Callable[[], list[torch.Tensor]]


class Capturer(Protocol):
    """Captures what one program does on its device."""

    def host(self, dims: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Memory of the host, from which the device copies quickly."""

    def capture(self, run: FixedRun) -> tuple[Callable[[], None], list[torch.Tensor]]:
        """What does again on the device all that ``run`` does there, and the outputs that it writes.

        Nothing else may use the device meanwhile, and no two graphs of one program may run at a
        time, for they share memory. Raises what ``run`` or the device raises.
        """

    @property
    def memory(self) -> int:
        """Bytes that the graphs hold."""

    @property
    def limit(self) -> int:
        """Bytes beyond which nothing more is captured."""
