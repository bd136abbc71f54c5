"""A small transformer in ONNX, whose head reads the first token, the last one, or the mean of all."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from agent.engines.layout import Layout
from agent.engines.onnx.reduced import Reduced, reduced
from agent.engines.onnx.signatures import derived
from tests.support.onnxmodels import Array, answers, beside

#: States [n, t, width] and mask [n, t] -> what the head reads, [n, width].
Pool = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Second:
    """An output beside the logits, made of logits and states, and the names of its dimensions."""

    of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    axes: tuple[tuple[int, str], ...] = ()


STATES = Second(lambda _logits, states: states, ((0, "n"), (1, "t")))
TURNED = Second(lambda _logits, states: states.transpose(1, 2), ((0, "n"), (2, "t")))
#: Of the whole batch: requests cannot be joined.
OF_BATCH = Second(lambda logits, _states: logits.mean(0))
LABEL = Second(lambda logits, _states: logits.argmax(-1), ((0, "n"),))

#: Products of a layer: of its tokens, and of the tokens of a text with one another.
OF_TOKENS, OF_PAIRS = 6, 2
_WIDTH, _HEADS, _INNER = 16, 4, 24
_RANDOM = np.random.default_rng(3)


def first(states: torch.Tensor, _mask: torch.Tensor) -> torch.Tensor:
    """The first token."""
    return states[:, 0]


def last(states: torch.Tensor, _mask: torch.Tensor) -> torch.Tensor:
    """The last position, padding or not."""
    return states[:, -1]


def mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean of the tokens."""
    weights = mask[..., None].float()
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1)


def mean_of_all(states: torch.Tensor, _mask: torch.Tensor) -> torch.Tensor:
    """The mean of all positions, padding too."""
    return states.mean(1)


class Block(nn.Module):
    """A layer of a transformer, written as older exporters see it: sizes are read of each state."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(_WIDTH, _WIDTH) for _ in range(4))
        self.inner, self.outer = nn.Linear(_WIDTH, _INNER), nn.Linear(_INNER, _WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(_WIDTH) for _ in range(2))

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        query, key, value = (self._heads(layer(states)) for layer in (self.query, self.key, self.value))
        scores = query @ key.transpose(-1, -2) / 2 + mask
        joined = (scores.softmax(-1) @ value).permute(0, 2, 1, 3).contiguous()
        attended = self.norms[0](states + self.out(joined.view((*joined.size()[:-2], _WIDTH))))
        result: torch.Tensor = self.norms[1](attended + self.outer(nn.functional.gelu(self.inner(attended))))
        return result

    def _heads(self, states: torch.Tensor) -> torch.Tensor:
        return states.view((*states.size()[:-1], _HEADS, _WIDTH // _HEADS)).permute(0, 2, 1, 3)


class TwoLayers(nn.Module):
    """Two layers, whose states ``pool`` makes one of."""

    def __init__(self, pool: Pool, second: Second | None = None) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(60, _WIDTH), nn.Embedding(64, _WIDTH)
        self.layers = nn.ModuleList(Block() for _ in range(2))
        self.head, self.pool, self.second = nn.Linear(_WIDTH, 3), pool, second

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        states = self.words(input_ids) + self.places(torch.arange(input_ids.size(1)))
        mask = (1 - attention_mask[:, None, None].float()) * -1e9
        for layer in self.layers:
            states = layer(states, mask)
        logits = self.head(self.pool(states, attention_mask))
        return (logits, self.second.of(logits, states)) if self.second else logits


def save(path: Path, pool: Pool, second: Second | None = None, *, opset: int = 17) -> Path:
    """Writes the model as an older exporter does."""
    path.write_bytes(_content(pool, second, opset))
    return path


@cache
def _content(pool: Pool, second: Second | None, opset: int) -> bytes:
    torch.manual_seed(7)
    ids, names = torch.ones((2, 9), dtype=torch.int64), ["input_ids", "attention_mask"]
    outputs = ["logits", *(["second"] if second else [])]
    axes = {name: {0: "n", 1: "t"} for name in names} | {"logits": {0: "n"}, "second": dict(second.axes) if second else {}}
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is deprecated, and most files are of it
        torch.onnx.export(
            TwoLayers(pool, second).eval(), (ids, ids), file.name, dynamo=False, opset_version=opset,
            input_names=names, output_names=outputs, dynamic_axes=axes,
        )  # fmt: skip
        return Path(file.name).read_bytes()


def forms_of(path: Path) -> list[Reduced]:
    """What `reduced` makes of a file."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return reduced(path, Layout(derived("m", session.get_inputs(), session.get_outputs())))


def texts() -> list[dict[str, Array]]:
    """Texts of one token and more, alone and padded."""
    made = []
    for rows, length in ((1, 1), (1, 2), (2, 9), (5, 17), (4, 4), (3, 60)):
        mask = np.ones((rows, length), np.int64)
        mask[1:, 1 + length // 2 :] = 0
        made.append({"input_ids": _RANDOM.integers(1, 60, (rows, length)), "attention_mask": mask})
    return made


def rows_of_products(path: Path, graph: bytes, mask: Array) -> list[int]:
    """How many rows each product of a graph of the file has, for texts with that mask."""
    whole = onnx.load_model_from_string(graph)
    products = [node.output[0] for node in whole.graph.node if node.op_type == "MatMul"]
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in products)
    [results] = answers(beside(path, whole.SerializeToString()), [{"input_ids": np.ones_like(mask), "attention_mask": mask}])
    return [result.shape[-2] for result in results[-len(products) :]]
