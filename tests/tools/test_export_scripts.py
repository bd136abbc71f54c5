"""TorchScript modules that somebody published: which of what ``forward`` takes the function has."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.tools.test_export_programs import Mean, export_bare
from vaccel_common.modelfile import read_extras


class OwnSelf(nn.Module):
    """Its ``forward`` calls the module otherwise than most do."""

    def forward(this, input_ids: Tensor, attention_mask: Tensor) -> Tensor:  # noqa: N805 that is the point
        return torch.stack([(input_ids * attention_mask).sum(1), attention_mask.sum(1)], 1).float()


def test_the_module_itself_is_no_input(tmp_path: Path) -> None:
    """Whatever its author calls it."""
    torch.jit.save(torch.jit.script(OwnSelf()), str(tmp_path / "bare.pt"))
    assert export_bare(tmp_path / "bare.pt", tmp_path / "m.pt", command="torchscript").exit_code == 0
    signature = read_extras(tmp_path / "m.pt").signature
    assert signature is not None
    assert [spec.name for spec in signature.inputs] == ["input_ids", "attention_mask"]


class Scaled(nn.Module):
    def forward(self, input_ids: Tensor, scale: float) -> Tensor:
        return input_ids.float().sum(1, keepdim=True).repeat(1, 2) * scale


class WithLabels(Mean):
    """As models of transformers take what they need in training alone."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None, scale: float = 1.0) -> Tensor:
        mask = attention_mask.unsqueeze(-1).float()
        logits: Tensor = self.head((self.embedding(input_ids) * mask).sum(1) / mask.sum(1).clamp(min=1)) * scale
        return logits if labels is None else logits * 0


class Unused(nn.Module):
    """It takes segments as its family does, and does not look at them."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:  # noqa: ARG002
        return torch.stack([(input_ids * attention_mask).sum(1), attention_mask.sum(1)], 1).float()


@pytest.mark.parametrize(
    ("module", "suffix", "inputs"),
    [
        (WithLabels, ".pt", ["input_ids", "attention_mask"]),
        (Unused, ".pt", ["input_ids", "attention_mask", "token_type_ids"]),
        (Unused, ".onnx", ["input_ids", "attention_mask", "token_type_ids"]),
    ],
)
def test_a_script_is_called_with_what_the_function_has(
    module: type[nn.Module], suffix: str, inputs: list[str], tmp_path: Path
) -> None:
    """What is optional and unknown is left out; what the module takes and does not use is none the less given."""
    torch.jit.save(torch.jit.script(module().eval()), str(tmp_path / "bare.pt"))
    done = export_bare(tmp_path / "bare.pt", tmp_path / f"m{suffix}", command="torchscript")
    assert done.exit_code == 0, done.output
    signature = read_extras(tmp_path / f"m{suffix}").signature
    assert signature is not None
    assert [spec.name for spec in signature.inputs] == inputs


class Forwardless(nn.Module):
    @torch.jit.export
    def classify(self, input_ids: Tensor) -> Tensor:
        return input_ids


class TakesPositions(nn.Module):
    def forward(self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor) -> Tensor:
        return torch.stack([(input_ids * attention_mask).sum(1), position_ids.sum(1)], 1).float()


class Exchanged(nn.Module):
    def forward(self, mask: Tensor, ids: Tensor) -> Tensor:
        return torch.stack([(ids * mask).sum(1), mask.sum(1)], 1).float()


class Behind(nn.Module):
    def forward(self, input_ids: Tensor, past: Tensor | None = None, attention_mask: Tensor | None = None) -> Tensor:
        return input_ids.float() if past is None or attention_mask is None else past


class TwoTensors(nn.Module):
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        return input_ids.float(), attention_mask.float()


_WHICH = "say in a signature.json (--signature) which of input_ids, attention_mask, token_type_ids each is"


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (Scaled, "forward takes scale of type float: it must take tensors alone"),
        (Forwardless, "the module has no forward"),
        (TakesPositions, "forward takes position_ids, which the function does not have: it must do without"),
        (Exchanged, f"forward takes mask, ids; {_WHICH}"),
        (Behind, "forward takes attention_mask behind past, which the function does not have: trace it without past"),
        (TwoTensors, "it gives 2 outputs: a classifier's must be the only one"),
    ],
)
def test_a_script_that_cannot_be_called_with_tensors_is_refused(module: type[nn.Module], says: str, tmp_path: Path) -> None:
    """In one line."""
    torch.jit.save(torch.jit.script(module()), str(tmp_path / "bare.pt"))
    done = export_bare(tmp_path / "bare.pt", tmp_path / "m.pt", command="torchscript")
    assert done.output == f"Error: {tmp_path / 'bare.pt'}: {says}\n"
