"""Folders and modules that would give wrong answers without a word: each is refused in one line, or exported as it should be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForTokenClassification, AutoTokenizer

from tests.support.families import make
from tests.tools.test_export import WORDS, tokenizer
from tests.tools.test_export_families import export
from tests.tools.test_export_folder import edit_config, refused
from tests.tools.test_export_onnx import tool
from vaccel_common.modelfile import read_extras


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["a", "a"], 'has labels twice, ["a"]'),
        (["a", " "], 'has labels that are not text, [" "]'),
        ([], "a JSON list of names is expected"),
        ({"a": 0}, "a JSON list of names is expected"),
    ],
)
def test_labels_in_a_file_name_each_class_once(labels: Any, says: str, tmp_path: Path) -> None:
    """Of a module as of a folder: a label that is there twice would hide a class."""
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(labels))
    assert f"--labels {path}" in refused(make(tmp_path / "folder", "distilbert"), "--labels", str(path))
    tokenizer().save(str(tmp_path / "tokenizer.json"))
    torch.jit.save(torch.jit.script(OtherOrder()), str(tmp_path / "bare.pt"))
    done = tool("torchscript", tmp_path / "bare.pt", *_beside(tmp_path), "-o", tmp_path / "out.pt")
    assert done.exit_code == 1
    assert says in done.output


class OtherOrder(nn.Module):
    """Ten times the ids, and the segments: its inputs are not in the usual order."""

    def forward(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return torch.stack([(input_ids * attention_mask).sum(1), (10 * token_type_ids).sum(1)], 1).float()


class Nameless(nn.Module):
    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return torch.stack([(first * second).sum(1), second.sum(1)], 1).float()


class Misplaced(nn.Module):
    def forward(self, input_ids: torch.Tensor, segments: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return torch.stack([(input_ids * attention_mask).sum(1), segments.sum(1)], 1).float()


def _beside(folder: Path) -> tuple[str | Path, ...]:
    return "--tokenizer", folder / "tokenizer.json", "--labels", folder / "labels.json"


def test_the_inputs_of_a_module_are_told_by_their_names(tmp_path: Path) -> None:
    """In whatever order ``forward`` takes them; where the names say nothing, a line says what is assumed."""
    tokenizer().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "labels.json").write_text('["a", "b"]')
    for module in (OtherOrder(), Nameless(), Misplaced()):
        torch.jit.save(torch.jit.script(module), str(tmp_path / f"{type(module).__name__}.pt"))
    out = tmp_path / "out.pt"
    done = tool("torchscript", tmp_path / "OtherOrder.pt", *_beside(tmp_path), "-o", out)
    assert done.exit_code == 0, done.output
    signature = read_extras(out).signature
    assert signature is not None
    assert [spec.name for spec in signature.inputs] == ["input_ids", "token_type_ids", "attention_mask"]
    done = tool("torchscript", tmp_path / "Nameless.pt", *_beside(tmp_path), "-o", out)
    assert "inputs: input_ids, attention_mask, in that order (forward calls them first, second)" in done.output
    done = tool("torchscript", tmp_path / "Misplaced.pt", *_beside(tmp_path), "-o", out)
    assert "forward takes input_ids, segments, attention_mask; say in a signature.json (--signature) which of" in done.output
    stated = json.loads(signature_of(out))
    stated["inputs"] = [dict(stated["inputs"][0], name=name) for name in ("input_ids", "attention_mask", "token_type_ids")]
    (tmp_path / "signature.json").write_text(json.dumps(stated))
    done = tool(
        "torchscript",
        tmp_path / "OtherOrder.pt",
        *_beside(tmp_path),
        "--signature",
        tmp_path / "signature.json",
        "-o",
        tmp_path / "o.pt",
    )
    assert "forward takes input_ids, token_type_ids, attention_mask in that order, and the signature has" in done.output
    done = tool("torchscript", tmp_path / "Nameless.pt", *_beside(tmp_path), "--pad", str(len(WORDS)), "-o", out)
    assert "--pad 4 is no token of the tokenizer, which has 0 to 3" in done.output


def signature_of(path: Path) -> str:
    """The ``signature.json`` of a file."""
    files = {"signature.json": ""}
    torch.jit.load(str(path), _extra_files=files)
    return files["signature.json"]


def test_a_model_for_another_task_is_refused_by_its_name(tmp_path: Path) -> None:
    """The weights of a ModernBERT that marks tokens fit a classifier of texts."""
    folder = make(tmp_path / "folder", "modernbert")
    AutoModelForTokenClassification.from_pretrained(folder).save_pretrained(folder)
    assert "the checkpoint is a ModernBertForTokenClassification, which does not classify texts" in refused(folder)
    edit_config(folder, architectures=["OurOwnForEverything"])
    assert export(folder, tmp_path / "out.pt").exit_code == 0


def test_an_adapter_is_refused(tmp_path: Path) -> None:
    """It would be left out without a word."""
    folder = make(tmp_path / "folder", "distilbert")
    (folder / "adapter_config.json").write_text("{}")
    assert "has an adapter (adapter_config.json)" in refused(folder)
    (folder / "config.json").unlink()
    assert "has an adapter (adapter_config.json)" in refused(folder)


def test_tokens_without_embeddings(tmp_path: Path) -> None:
    """A word is refused, for a text with it would fail; a special token, which a class may add by itself, is a word."""
    folder = make(tmp_path / "folder", "bert")
    words = AutoTokenizer.from_pretrained(folder)
    words.add_tokens(["<user>"])
    words.save_pretrained(folder)
    assert f"the tokenizer has token {len(words) - 1} (<user>), and the model has embeddings of tokens 0 to" in refused(folder)
    folder = make(tmp_path / "other", "bert")
    special = AutoTokenizer.from_pretrained(folder)
    special.add_special_tokens({"additional_special_tokens": ["<turn>"]})
    special.save_pretrained(folder)
    done = export(folder, tmp_path / "out.pt")
    assert done.exit_code == 0, done.output
    assert "special tokens: <turn> of the tokenizer are words" in done.output
    assert b"<turn>" not in (read_extras(tmp_path / "out.pt").tokenizer or b"")


def test_special_tokens_that_are_split_are_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "folder", "gpt2")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "split_special_tokens": True}))
    assert "tokenizer_config.json has split_special_tokens" in refused(folder, "--pad-id", "0")


def test_a_padding_id_that_is_no_tokens_is_not_taken(tmp_path: Path) -> None:
    """Old configurations have -1 in place of none."""
    folder = make(tmp_path / "folder", "llama")
    edit_config(folder, pad_token_id=-1)
    done = export(folder, tmp_path / "out.pt")
    assert done.exit_code == 0, done.output
    assert "from the tokenizer (config.json has -1, which is none)" in done.output


def test_what_a_user_states_takes_the_place_of_what_cannot_be_read(tmp_path: Path) -> None:
    """Also where transformers would refuse what config.json has."""
    folder, out = make(tmp_path / "folder", "distilbert", ("stars",)), tmp_path / "out.pt"
    edit_config(folder, problem_type="single_label_classification")
    done = export(folder, out, "--problem-type", "regression")
    assert done.exit_code == 0, done.output
    out.unlink()
    line = refused(folder, "--problem-type", "single_label_classification")
    assert "--problem-type single_label_classification is for two labels or more" in line or "num_labels > 1" in line
    (tmp_path / "labels.json").write_text('["much"]')
    edit_config(folder, id2label=["one"], problem_type="regression")
    done = export(folder, out, "--labels", str(tmp_path / "labels.json"))
    assert done.exit_code == 0, done.output
    assert read_extras(out).labels == ["much"]


def test_the_limit_of_positions_by_its_other_name(tmp_path: Path) -> None:
    """MPT calls it max_seq_len."""
    folder = make(tmp_path / "folder", "distilbert")
    edit_config(folder, max_seq_len=32)
    done = export(folder, tmp_path / "out.pt")
    assert "longest input: 32 tokens (max_position_embeddings: 64; max_seq_len: 32" in done.output
