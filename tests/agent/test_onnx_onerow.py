"""What a model reads of one token is computed for that one alone, and its answers stay the same."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from agent.engines.onnx import loading
from agent.engines.onnx.reduced import Reduced
from tests.support.onnxmodels import answers, beside, check_same
from tests.support.twolayers import (
    OF_PAIRS,
    OF_TOKENS,
    STATES,
    Pool,
    first,
    forms_of,
    last,
    mean_of_all,
    rows_of_products,
    save,
    texts,
)

#: Products of the last layer that are computed for one token: all but keys and values.
_PRODUCTS = OF_TOKENS + OF_PAIRS - 2


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("pool", [first, last])
def test_the_last_layer_is_computed_for_the_token_that_is_read(tmp_path: Path, pool: Pool, opset: int) -> None:
    path = save(tmp_path / "m.onnx", pool, opset=opset)
    form = forms_of(path)[-1]
    assert (form.rows, form.tokens) == (_PRODUCTS, 0)
    assert form.alone == form.batched
    check_same(path, form.batched, texts())
    assert rows_of_products(path, form.batched, np.ones((2, 19), np.int64)).count(1) == _PRODUCTS


def test_what_reads_all_tokens_is_left_as_it_is(tmp_path: Path) -> None:
    assert [form.rows for form in forms_of(save(tmp_path / "mean.onnx", mean_of_all))] == [0]
    assert forms_of(save(tmp_path / "states.onnx", first, STATES)) == []


def test_a_model_that_computes_one_row_itself_is_left_as_it_is(tmp_path: Path) -> None:
    """As the network of the model that ships does: its only token is the first one, and nothing can be left out."""
    path = save(tmp_path / "m.onnx", first)
    assert [form.rows for form in forms_of(beside(path, forms_of(path)[-1].batched))] == [0]


def test_a_model_that_is_loaded_says_what_it_computes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    program = loading.load(save(tmp_path / "tea.onnx", first), 2)
    rows = f"tea computes {_PRODUCTS} products for the one token that is read of the last layer"
    assert f"{rows} and {OF_TOKENS + 2} products without padding" in caplog.text
    assert program.joinable


def test_other_answers_of_what_computes_less_are_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect of the reduction costs its gain, and changes no answer."""
    path, other = save(tmp_path / "tea.onnx", first), save(tmp_path / "cake.onnx", last)
    broken, wrong = (Reduced(content, None, 1, 1) for content in (b"no model", other.read_bytes()))
    monkeypatch.setattr(loading, "reduced", lambda *_: [broken, wrong])
    program = loading.load(path, 2)
    assert caplog.text.count("A form of tea that computes less is left out: ") == 2
    assert "left out: its answers differ by" in caplog.text
    assert program.cost.pads
    example = program.layout.example(9) if program.layout else []
    ids = np.frombuffer(example[0].data, np.int64).reshape(1, -1)
    [[logits]] = answers(path, [{"input_ids": ids, "attention_mask": np.ones_like(ids)}])
    for alone in (True, False):
        mine = np.frombuffer(program.run([example], alone=alone).outputs[0][0].data, np.float32)
        np.testing.assert_allclose(mine, logits[0], atol=1e-5)


def test_without_the_package_onnx_a_model_runs_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    path = save(tmp_path / "tea.onnx", first)
    monkeypatch.setattr("agent.engines.onnx.reduced.find_spec", lambda _: None)
    loading.load(path, 1)
    assert "tea is computed as it is in its file, for want of the package onnx" in caplog.text


def test_a_clients_model_runs_as_it_was_sent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    loading.load(save(tmp_path / "tea.onnx", first), 1, 1 << 30)
    assert "one token" not in caplog.text
