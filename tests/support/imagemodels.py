"""Small models that classify images, of seeded weights: TorchScript with signature and labels, and torch.export without."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.support.pictures import reference
from vaccel_common.imagespec import ImageSpec

#: The classes of `ColourNetwork`.
COLOURS = ("crimson", "olive", "navy", "teal", "plum")
#: The preprocessing of the small model that states one.
SPEC = ImageSpec((48, 64), 72, (0.5, 0.4, 0.3), (0.2, 0.3, 0.25))


class ColourNetwork(nn.Module):
    """float32 [n, 3, h, w] -> float32 [n, 5]; two convolutions, the mean over all places, and a linear layer.

    ``rounds``: how often the first is computed, to make it slow.
    """

    def __init__(self, rounds: int = 1) -> None:
        super().__init__()
        torch.manual_seed(18)
        self.rounds = rounds
        self.first, self.second = nn.Conv2d(3, 12, 5, stride=3), nn.Conv2d(12, 24, 3, stride=2)
        self.last = nn.Linear(24, len(COLOURS))
        with torch.no_grad():
            self.last.weight *= 20

    def forward(self, image: Tensor) -> Tensor:
        x = self.first(image)
        for _ in range(self.rounds - 1):
            # Of the last one, so that no compiler computes them all at once.
            x = self.first(image + 0 * x.mean())
        return self.last(torch.relu(self.second(torch.relu(x))).mean([2, 3]))  # type: ignore[no-any-return]


def image_signature(spec: ImageSpec | None = SPEC, *, batch: bool = True, size: Sequence[Any] = ("h", "w")) -> str:
    """A ``signature.json`` for `ColourNetwork`; with ``spec`` it states the preprocessing."""
    image = {"image": {"size": spec.size, "resize": spec.resize, "mean": spec.mean, "std": spec.std}} if spec else {}
    inputs = [{"name": "image", "dtype": "float32", "dims": ["n", 3, *(spec.size if spec else size)]}]
    outputs = [{"name": "scores", "dtype": "float32", "dims": ["n", len(COLOURS)]}]
    head = {"format": 1, "name": "colours", "problem_type": "single_label_classification", "inputs": inputs, "outputs": outputs}
    return json.dumps({**head, **image, **({"batch": "n"} if batch else {})})


def save_script(path: Path, signature: str | None, labels: Sequence[str] | None, rounds: int = 1) -> Path:
    """Writes `ColourNetwork` as TorchScript; the path."""
    extras = {
        **({} if signature is None else {"signature.json": signature}),
        **({} if labels is None else {"labels.json": json.dumps(list(labels))}),
    }
    script: Callable[[nn.Module], torch.jit.ScriptModule] = torch.jit.script
    torch.jit.save(script(ColourNetwork(rounds).eval()), str(path), _extra_files=extras)
    return path


def save_export(path: Path) -> Path:
    """Writes `ColourNetwork` as torch.export, with the fixed input of ImageNet's models and no signature; the path."""
    torch.export.save(torch.export.export(ColourNetwork().eval(), (torch.zeros(1, 3, 224, 224),)), path)
    return path


def label_by_torch(data: bytes, spec: ImageSpec = SPEC, labels: Sequence[str] = COLOURS) -> str:
    """The label of an image by torch alone; the best class must be clear, as a few pixels may differ by a level."""
    with torch.inference_mode():
        scores = ColourNetwork().eval()(torch.from_numpy(reference(data, spec)))[0]
    best, second = scores.topk(2).values.tolist()
    assert best - second > 0.01, "choose other pictures"
    return labels[int(scores.argmax())]
