"""Small TorchScript models that each show one thing an agent must handle; `save` writes one to a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

#: The names of every dtype that travels.
DTYPES = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32")

#: Upper limit of the rounds of a `Slow` model, whatever its input says: some seconds.
MAX_ROUNDS = 100_000


class Copies(nn.Module):
    """Gives back its one input, of any dtype and any dims."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clone()


class Twice(nn.Module):
    """Doubles its one input, of any dtype and any dims."""

    def forward(self, x: Tensor) -> Tensor:
        return x + x


class TwoAndTwo(nn.Module):
    """float32 [n], int64 [m] -> the double of the first, float32 [n]; the successor of the second, int64 [m]."""

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return a * 2.0, b + 1


class Refuses(nn.Module):
    """int64 -> the same; raises when a value is negative.

    It tells one bad request from its neighbours in a batch.
    """

    def forward(self, x: Tensor) -> Tensor:
        if bool((x < 0).any()):
            raise ValueError("negative numbers are refused by this model")
        return x.clone()


class Doubles(nn.Module):
    """Any dtype -> float64, for which the protocol has no number."""

    def forward(self, x: Tensor) -> Tensor:
        return x.double()


class Slow(nn.Module):
    """int64 [n] -> float32 [1]: as many multiplications of 128 x 128 matrices as its largest value says, `MAX_ROUNDS` at most."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = MAX_ROUNDS

    def forward(self, x: Tensor) -> Tensor:
        rounds = min(int(x.max().item()), self.limit)
        y = torch.eye(128)
        for _ in range(rounds):
            y = torch.mm(y, torch.eye(128))
        return y.sum().reshape(1)


class Greedy(nn.Module):
    """int64 [1] -> float32 [1]: the sum of as many zeros as its value says, which have to be in memory."""

    def forward(self, size: Tensor) -> Tensor:
        return torch.zeros(int(size.item())).sum().reshape(1)


class MaskedSum(nn.Module):
    """ids, mask int64 [n, t] -> float32 [n, 2]: sum and count where the mask is 1, so padding changes nothing."""

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return torch.stack([(ids * mask).sum(1).float(), mask.sum(1).float()], dim=1)


class UnmaskedMean(nn.Module):
    """ids, mask int64 [n, t] -> float32 [n, 2]: mean and length of the whole row, so padding changes both."""

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        length = torch.full([ids.size(0)], float(ids.size(1)))
        return torch.stack([ids.float().mean(1), length + 0.0 * mask.sum(1).float()], dim=1)


def batchable_signature(name: str) -> str:
    """``signature.json`` of `MaskedSum` and `UnmaskedMean`: may be joined along n and padded along t."""
    return signature(
        name,
        inputs=[("ids", "int64", ["n", "t"]), ("mask", "int64", ["n", "t"])],
        outputs=[("out", "float32", ["n", 2])],
        batch="n",
        length="t",
    )


Spec = tuple[str, str, Sequence[int | str]]


def signature(
    name: str, inputs: Sequence[Spec], outputs: Sequence[Spec], batch: str | None = None, length: str | None = None
) -> str:
    """A ``signature.json``: inputs and outputs as (name, dtype, dims), and the names of the dimensions to join and to pad."""

    def tensors(specs: Sequence[Spec]) -> list[dict[str, object]]:
        return [{"name": tensor, "dtype": dtype, "dims": list(dims)} for tensor, dtype, dims in specs]

    head = {"format": 1, "name": name, "problem_type": "regression", "max_length": 64}
    dimensions = {key: value for key, value in (("batch", batch), ("length", length)) if value}
    return json.dumps({**head, "inputs": tensors(inputs), "outputs": tensors(outputs), **dimensions})


def save(module: nn.Module, path: Path, signature_json: str | None = None) -> Path:
    """Writes a module as TorchScript, with its signature beside the program inside the file; the path."""
    extras = {"signature.json": signature_json} if signature_json else {}
    script: Callable[[nn.Module], torch.jit.ScriptModule] = torch.jit.script
    torch.jit.save(script(module.eval()), str(path), _extra_files=extras)
    return path


def saved(module: nn.Module, path: Path, signature_json: str | None = None) -> bytes:
    """`save`, and the bytes of the file."""
    return save(module, path, signature_json).read_bytes()


class First(nn.Module):
    """Joined and padded rows would disturb it: it looks at how long the row is."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float().sum(1, keepdim=True) / x.shape[1]


#: The signature of `First`, which says that rows may be joined and padded.
FIRST_SIGNATURE = {
    "format": 1, "name": "first", "problem_type": "regression", "max_length": 20,
    "inputs": [{"name": "x", "dtype": "int64", "dims": ["n", "t"], "pad": 0}],
    "outputs": [{"name": "y", "dtype": "float32", "dims": ["n", 1]}], "batch": "n", "length": "t",
}  # fmt: skip
