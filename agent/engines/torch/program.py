"""A model in memory: joins and pads requests, runs them and splits outputs."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from agent.engines import arrays
from agent.engines.contract import Batch
from agent.engines.measured import TOLERANCE, MeasuredProgram
from agent.engines.torch.device import TorchDevice
from agent.engines.torch.exceptions import is_memory, last_line
from agent.engines.torch.tensors import flat, from_torch, to_array, to_torch
from vaccel_common.modelfile import Signature
from vaccel_rpc.errors import Internal, ResourceExhausted, RpcError
from vaccel_rpc.tensors import Tensor

_log = logging.getLogger("agent.engines.torch")

Forward = Callable[..., Any]


class TorchProgram(MeasuredProgram):
    """A model in memory; see `MeasuredProgram`."""

    def __init__(self, forward: Forward, signature: Signature | None, device: TorchDevice, tolerance: float = TOLERANCE) -> None:
        super().__init__(signature, tolerance, _log)
        self._forward, self._device = forward, device

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:
        """Each request's outputs.

        Raises `Internal` with torch's reason, `ResourceExhausted` where memory ran out, `DeviceLost`.
        """
        try:
            return self._run(requests, alone=alone)
        except RpcError:
            raise
        except Exception as error:  # noqa: BLE001 a model may raise anything
            no_memory, reason, lost = is_memory(error), last_line(error), self._device.loss(error)
        # Outside of the except block: the error's frames hold the tensors of the failed run, and a
        # retry needs their memory.
        if lost:
            raise lost
        if not no_memory:
            raise Internal(f"torch: {reason}", errno=errno.EINVAL)
        if not self._device.is_cpu:
            torch.cuda.empty_cache()
        raise ResourceExhausted(f"the run needs more memory than there is: {reason}", errno=errno.ENOMEM, reason="memory")

    def _run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:
        self._device.use_threads(self._device.threads if alone else 1)
        layout = self.layout
        if layout is None or len(requests) == 1:
            inputs = [[to_torch(tensor) for tensor in request] for request in requests]
            began = time.monotonic()
            outputs = [self._call(request) for request in inputs]
            ended = time.monotonic()
            return Batch([[from_torch(tensor) for tensor in tensors] for tensors in outputs], began, ended)
        joined = [torch.from_numpy(array) for array in arrays.join(layout, requests)]
        began = time.monotonic()
        results = self._call(joined)
        ended = time.monotonic()
        shapes = [layout.shape(request) for request in requests]
        return Batch(arrays.split(layout, [to_array(tensor) for tensor in results], shapes), began, ended)

    def _call(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        with torch.inference_mode():
            if self._device.is_cpu:
                # To move a tensor, even to where it is, lets other threads have Python's lock.
                return flat(self._forward(*inputs))
            outputs = self._forward(*(tensor.to(self._device.device) for tensor in inputs))
            return [tensor.cpu() for tensor in flat(outputs)]
