"""A program's batches of usual shapes as graphs: captured when it is loaded, checked, timed, and run on fixed tensors.

A graph is what a run does on the device, recorded: it is launched at once, where a run of a small
batch is mostly time in which the CPU launches one kernel after the other. It works on tensors that
stay where they are, so a batch is copied there and padded to the graph's shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from agent.engines.buckets import BatchShape, Buckets, sizes
from agent.engines.layout import Layout, Shape
from agent.engines.torch.capturing import Capturer
from agent.engines.torch.tensors import flat, to_torch
from vaccel_common.modelfile import Signature

#: torch states no types for it.
_jit: Any = torch.jit

#: The largest batch that is captured, in rows and in tokens: beyond it kernels take longer than
#: their launches on every device.
_MAX_ROWS, _MAX_TOKENS = 64, 8192
#: The shortest length, and the longest one of a model that does not state its maximum: no run when
#: it is loaded is longer, for what exceeds a table on a GPU costs the device.
_SHORTEST, _UNSTATED = 16, 16


def buckets_of(signature: Signature) -> Buckets | None:
    """The shapes of batches that may be captured; None where a batch has dimensions beside rows and length."""
    known = (signature.batch, signature.length)
    if any(isinstance(dim, str) and dim not in known for spec in signature.inputs for dim in spec.dims):
        return None
    longest = (signature.max_length or _UNSTATED) if signature.length else 1
    return Buckets(sizes(1, _MAX_ROWS), sizes(min(_SHORTEST, longest), longest), largest=_MAX_TOKENS)


@dataclass(eq=False)
class CapturedGraph:
    """One shape: its fixed inputs on the host and on the device, and its outputs there."""

    host: list[torch.Tensor]
    device: list[torch.Tensor]
    outputs: list[torch.Tensor]
    replay: Callable[[], None]

    def run(self, layout: Layout, inputs: Sequence[torch.Tensor], rows: int, length: int) -> list[torch.Tensor]:
        """The outputs for a batch that is no larger. Not for two threads at a time."""
        for dims, spec, host, device, tensor in zip(
            layout.input_dims, layout.signature.inputs, self.host, self.device, inputs, strict=True
        ):
            _fill(host, tensor, dims, spec.pad)
            device.copy_(host, non_blocking=True)
        self.replay()
        (outputs,) = layout.split(self.outputs, [Shape(None, length, rows)])
        # The next run writes over the fixed ones.
        return [output.to("cpu", copy=True) for output in outputs]


def _fill(host: torch.Tensor, tensor: torch.Tensor, dims: tuple[int, int | None], pad: float) -> None:
    """Pads as batches are padded. The rows beyond are the first one again, which the model takes for certain."""
    batch, length = dims
    rows = tensor.shape[batch]
    if length is not None and tensor.shape[length] < host.shape[length]:
        host.fill_(pad)
        host.narrow(batch, 0, rows).narrow(length, 0, tensor.shape[length]).copy_(tensor)
    else:
        host.narrow(batch, 0, rows).copy_(tensor)
    if rows < host.shape[batch]:
        host.narrow(batch, rows, host.shape[batch] - rows).copy_(host.narrow(batch, 0, 1))


@dataclass(eq=False)
class GraphSet:
    """The graphs of a program by shape."""

    layout: Layout
    buckets: Buckets
    graphs: dict[BatchShape, CapturedGraph] = field(default_factory=dict)

    def capture(self, shape: BatchShape, forward: Callable[..., object], capturer: Capturer, device: torch.device) -> None:
        """Adds the graph of a shape. Raises what the program or the device raises."""
        example = [to_torch(tensor) for tensor in self.layout.example(shape[1], shape[0])]
        with torch.inference_mode():
            host = [capturer.host(tensor.shape, tensor.dtype) for tensor in example]
            fixed = [tensor.to(device, copy=True) for tensor in example]

            def run() -> list[torch.Tensor]:
                # In this thread TorchScript neither profiles nor compiles then, which no graph can
                # hold.
                with torch.inference_mode(), _jit.optimized_execution(False):
                    return flat(forward(*fixed))

            replay, outputs = capturer.capture(run)
        self.graphs[shape] = CapturedGraph(host, fixed, outputs, replay)

    @property
    def used(self) -> Buckets:
        """The buckets, and which of them have a graph."""
        return replace(self.buckets, used=frozenset(self.graphs))

    def run(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor] | None:
        """The outputs for a batch, by the graph that holds it; None where there is none."""
        dims = self.layout.input_dims
        rows = inputs[0].shape[dims[0][0]]
        length = max((tensor.shape[at] for tensor, (_, at) in zip(inputs, dims, strict=True) if at is not None), default=1)
        bucket = self.buckets.bucket(rows, length)
        graph = self.graphs.get(bucket) if bucket else None
        if graph is None:
            return None
        with torch.inference_mode():
            return graph.run(self.layout, inputs, rows, length)
