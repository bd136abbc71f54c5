"""Lower precision for a classifier on a CPU: int8 products in its linear layers, or bfloat16.

int8 is static: the range of each layer's inputs is measured beforehand, not in each run. A text's
result therefore hardly depends on the other texts of its batch: padding changes the last digit of
float32 sums, which can tip a rounding (in 1 text of 50, logits by at most 0.08, no label of 2,032).
Dynamic quantization uses one range for a whole batch (logits by up to 1.1), and is slower. Weights
have a scale for each output.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

#: The last layer stays in float32: it decides the label, and its cost is negligible.
_KEPT = "head"

Range = tuple[float, float]


class Int8Linear(nn.Module):
    """A linear layer with int8 weights: float32 [..., in] -> float32 [..., out].

    Inputs outside ``bounds`` saturate.
    """

    def __init__(self, layer: nn.Linear, bounds: Range) -> None:
        super().__init__()
        low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
        self.scale = max(high - low, 1e-8) / 255
        self.zero = round(-low / self.scale)
        weight = layer.weight.detach()
        scales = (weight.abs().amax(1) / 127).clamp(min=1e-8).double()
        quantized = torch.quantize_per_channel(weight, scales, torch.zeros(len(weight), dtype=torch.int64), 0, torch.qint8)
        self.packed = torch.ops.quantized.linear_prepack(quantized, layer.bias.detach() if layer.bias is not None else None)

    def forward(self, x: Tensor) -> Tensor:
        """Quantizes ``x``, multiplies in integers, and returns float32."""
        y: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(x, self.scale, self.zero, self.packed)
        return y


class Bfloat16(nn.Module):
    """A module that multiplies in bfloat16; sums, normalization and stored weights are float32."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The module's logits, as float32."""
        with torch.autocast("cpu", torch.bfloat16):
            logits: Tensor = self.module(input_ids, attention_mask)
        return logits.float()


def ranges(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Range]:
    """Minimum and maximum input of each linear layer over ``batches``, which have no padding."""
    bounds: dict[str, Range] = {}

    def observe(name: str) -> None:
        def record(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            low, high = (float(value) for value in inputs[0].aminmax())
            before = bounds.get(name, (low, high))
            bounds[name] = min(before[0], low), max(before[1], high)

        hooks.append(linear[name].register_forward_pre_hook(record))

    hooks: list[torch.utils.hooks.RemovableHandle] = []
    linear = _linear(model)
    for name in linear:
        observe(name)
    with torch.inference_mode():
        for batch in batches:
            model(*batch)
    for hook in hooks:
        hook.remove()
    return bounds


def to_int8(model: nn.Module, bounds: dict[str, Range]) -> nn.Module:
    """A copy of ``model`` with an `Int8Linear` in place of each linear layer except the last."""
    lowered = copy.deepcopy(model)
    for name, layer in _linear(lowered).items():
        parent, _, attribute = name.rpartition(".")
        setattr(lowered.get_submodule(parent), attribute, Int8Linear(layer, bounds[name]))
    return lowered


def _linear(model: nn.Module) -> dict[str, nn.Linear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear) and name != _KEPT}
