"""What a model reads of one token is computed for that one alone, and its answers stay the same."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from agent.engines.layout import Layout
from agent.engines.onnx import loading
from agent.engines.onnx.reduced import reduced
from agent.engines.onnx.signatures import derived
from tests.support.onnxmodels import Array, answers, check_same

Pool = Callable[[torch.Tensor], torch.Tensor]

_RANDOM = np.random.default_rng(3)
#: Products of one layer of `TwoLayers` that are computed for one token: query, scores, values' sum, output, and two.
_PRODUCTS = 6
_WIDTH, _HEADS, _INNER = 16, 4, 24


def _first(states: torch.Tensor) -> torch.Tensor:
    return states[:, 0]


def _last(states: torch.Tensor) -> torch.Tensor:
    return states[:, -1]


def _mean(states: torch.Tensor) -> torch.Tensor:
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

    def __init__(self, pool: Pool, *, states: bool = False) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(60, _WIDTH), nn.Embedding(64, _WIDTH)
        self.layers = nn.ModuleList(Block() for _ in range(2))
        self.head, self.pool, self.states = nn.Linear(_WIDTH, 3), pool, states

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        states = self.words(input_ids) + self.places(torch.arange(input_ids.size(1)))
        mask = (1 - attention_mask[:, None, None].float()) * -1e9
        for layer in self.layers:
            states = layer(states, mask)
        logits = self.head(self.pool(states))
        return (logits, states) if self.states else logits


def _save(path: Path, pool: Pool, *, states: bool = False, opset: int = 17) -> Path:
    torch.manual_seed(7)
    ids, names = torch.ones((2, 9), dtype=torch.int64), ["input_ids", "attention_mask"]
    outputs = ["logits", *(["states"] if states else [])]
    axes = {name: {0: "n", 1: "t"} for name in (*names, *outputs[1:])} | {"logits": {0: "n"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is deprecated, and most files are of it
        torch.onnx.export(
            TwoLayers(pool, states=states).eval(), (ids, ids), str(path), dynamo=False, opset_version=opset,
            input_names=names, output_names=outputs, dynamic_axes=axes,
        )  # fmt: skip
    return path


def _reduced(path: Path) -> bytes | None:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return reduced(path, Layout(derived("m", session.get_inputs(), session.get_outputs())))


def _texts() -> list[dict[str, Array]]:
    """Texts of one token and more, alone and padded."""
    texts = []
    for rows, length in ((1, 1), (1, 2), (2, 9), (5, 17), (4, 4), (3, 60)):
        mask = np.ones((rows, length), np.int64)
        mask[1:, 1 + length // 2 :] = 0
        texts.append({"input_ids": _RANDOM.integers(1, 60, (rows, length)), "attention_mask": mask})
    return texts


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("pool", [_first, _last])
def test_the_last_layer_is_computed_for_the_token_that_is_read(tmp_path: Path, pool: Pool, opset: int) -> None:
    path = _save(tmp_path / "m.onnx", pool, opset=opset)
    content = _reduced(path)
    assert content is not None
    check_same(path, content, _texts())
    assert _sizes_of_one(content) == _PRODUCTS


def _sizes_of_one(content: bytes) -> int:
    """How many products have one row for each text, or head of a text, of 19 tokens."""
    whole = onnx.load_model_from_string(content)
    products = [node.output[0] for node in whole.graph.node if node.op_type == "MatMul"]
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in products)
    text = np.ones((2, 19), np.int64)
    [results] = answers(whole.SerializeToString(), [{"input_ids": text, "attention_mask": text}])
    return sum(result.shape[-2] == 1 for result in results[1:])


def test_what_reads_all_tokens_is_left_as_it_is(tmp_path: Path) -> None:
    assert _reduced(_save(tmp_path / "mean.onnx", _mean)) is None
    assert _reduced(_save(tmp_path / "states.onnx", _first, states=True)) is None


def test_a_model_that_is_loaded_says_what_it_leaves_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    program = loading.load(_save(tmp_path / "tea.onnx", _first), 2)
    assert f"tea reads one token of its last layer: {_PRODUCTS} products are computed for that one alone" in caplog.text
    assert program.joinable


def test_other_answers_of_the_reduced_model_are_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect of the reduction costs its gain, and changes no answer."""
    path, other = _save(tmp_path / "tea.onnx", _first), _save(tmp_path / "cake.onnx", _last)
    monkeypatch.setattr(loading, "reduced", lambda *_: b"no model")
    loading.load(path, 1)
    assert "tea is computed whole: " in caplog.text
    monkeypatch.setattr(loading, "reduced", lambda *_: other.read_bytes())
    program = loading.load(path, 2)
    assert "tea is computed whole: reduced to what is read, its answers differ by" in caplog.text
    example = program.layout.example(9) if program.layout else []
    mine = program.run([example], alone=True).outputs[0][0].data
    ids = np.frombuffer(example[0].data, np.int64).reshape(1, -1)
    [[logits]] = answers(str(path), [{"input_ids": ids, "attention_mask": np.ones_like(ids)}])
    np.testing.assert_allclose(np.frombuffer(mine, np.float32), logits[0], atol=1e-5)


def test_without_the_package_onnx_a_model_runs_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    path = _save(tmp_path / "tea.onnx", _first)
    monkeypatch.setattr("agent.engines.onnx.reduced.find_spec", lambda _: None)
    loading.load(path, 1)
    assert "tea is computed as it is in its file, for want of the package onnx" in caplog.text


def test_a_clients_model_runs_as_it_was_sent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    loading.load(_save(tmp_path / "tea.onnx", _first), 1, 1 << 30)
    assert "one token" not in caplog.text
