"""A classifier in fewer bits: int8 for the products of its linear layers, or bfloat16, on a CPU.

int8 is static: the range of each layer's inputs is measured beforehand, not at each run. So a text's answer does not depend on
the texts it is joined with, but for padding's last float32 digit, which can tip a rounding (1 text in 50, logits by 0.08 at most, no
label of 2,032). Dynamic quantization has one range for a whole batch (logits by up to 1.1), and is slower. Weights have a scale for
each output.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

#: The last layer decides and costs nothing.
_KEPT = "head"

Range = tuple[float, float]


class Int8Linear(nn.Module):
    """A linear layer with int8 weights, float32 [..., in] -> float32 [..., out]; inputs outside ``bounds`` are cut off."""

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
        """Quantizes, multiplies in integers, and gives float32."""
        y: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(x, self.scale, self.zero, self.packed)
        return y


class Bfloat16(nn.Module):
    """A module whose products are computed in bfloat16, the rest (sums, normalization) in float32, as its weights are."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """As the module's own; float32."""
        with torch.autocast("cpu", torch.bfloat16):
            logits: Tensor = self.module(input_ids, attention_mask)
        return logits.float()


def ranges(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Range]:
    """The least and the greatest input of each linear layer over ``batches`` of one row each: padding must not count."""
    found: dict[str, Range] = {}

    def watch(name: str) -> None:
        def seen(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            low, high = (float(value) for value in inputs[0].aminmax())
            before = found.get(name, (low, high))
            found[name] = min(before[0], low), max(before[1], high)

        hooks.append(linear[name].register_forward_pre_hook(seen))

    hooks: list[torch.utils.hooks.RemovableHandle] = []
    linear = _linear(model)
    for name in linear:
        watch(name)
    with torch.inference_mode():
        for batch in batches:
            model(*batch)
    for hook in hooks:
        hook.remove()
    return found


def to_int8(model: nn.Module, bounds: dict[str, Range]) -> nn.Module:
    """A copy with an `Int8Linear` for each linear layer but the last."""
    lowered = copy.deepcopy(model)
    for name, layer in _linear(lowered).items():
        parent, _, own = name.rpartition(".")
        setattr(lowered.get_submodule(parent), own, Int8Linear(layer, bounds[name]))
    return lowered


def _linear(model: nn.Module) -> dict[str, nn.Linear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear) and name != _KEPT}
