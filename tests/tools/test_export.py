"""The tool that wraps anybody's model into one file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from export.commands import main
from tests.support.paths import ROOT, TWEETS
from vaccel_common.digestfile import digest_beside
from vaccel_common.modelfile import ModelFileError, parse_signature, program_kind, read_extras

WORDS = {"[PAD]": 0, "[UNK]": 1, "tea": 2, "cake": 3}


def export(*options: str) -> Result:
    """``python -m models.export`` in this process, which has torch and transformers."""
    return CliRunner().invoke(main, list(options))


def tokenizer() -> Tokenizer:
    word_level = Tokenizer(WordLevel(WORDS, unk_token="[UNK]"))
    word_level.pre_tokenizer = Whitespace()
    return word_level


def test_a_hugging_face_folder_becomes_one_file_of_either_kind(tmp_path: Path) -> None:
    """Its labels, tokenizer and answers are those of the folder."""
    folder = tmp_path / "hf"
    config = BertConfig(
        vocab_size=16, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, max_position_embeddings=16,
        id2label={0: "yes", 1: "no"}, label2id={"yes": 0, "no": 1},
    )  # fmt: skip
    torch.manual_seed(0)
    model = BertForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer(), pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    ids, mask = torch.tensor([[2, 3, 1]]), torch.ones(1, 3, dtype=torch.int64)
    expected = model(input_ids=ids, attention_mask=mask).logits
    for name, kind in (("m.pt", "torchscript"), ("m.pt2", "export")):
        done = export("huggingface", str(folder), "-o", str(tmp_path / name), "--full")
        assert done.exit_code == 0, done.output
        extras = read_extras(tmp_path / name)
        assert program_kind(tmp_path / name) == kind
        assert extras.labels == ["yes", "no"]
        assert extras.signature is not None
        assert digest_beside(tmp_path / name)
        program = (
            torch.jit.load(str(tmp_path / name)) if kind == "torchscript" else torch.export.load(str(tmp_path / name)).module()
        )
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
        answer = program(*(inputs[spec.name] for spec in extras.signature.inputs))
        assert torch.allclose(answer, expected, atol=1e-5)


class Bare(nn.Module):
    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.stack([(ids * mask).sum(1), mask.sum(1)], 1).float()


def test_a_bare_module_gets_its_tokenizer_and_labels(tmp_path: Path) -> None:
    """TorchScript in, one self-contained file out; a missing part is an error that names it."""
    torch.jit.save(torch.jit.script(Bare()), str(tmp_path / "bare.pt"))
    tokenizer().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "labels.json").write_text(json.dumps(["sum", "count"]))
    parts = ("--tokenizer", str(tmp_path / "tokenizer.json"), "--labels", str(tmp_path / "labels.json"))
    command = [sys.executable, "-m", "models.export", "torchscript", str(tmp_path / "bare.pt"), *parts]
    subprocess.run([*command, "-o", str(tmp_path / "out.pt")], cwd=ROOT, check=True)
    extras = read_extras(tmp_path / "out.pt")
    assert extras.labels == ["sum", "count"]
    assert torch.jit.load(str(tmp_path / "out.pt"))(torch.tensor([[2, 3]]), torch.tensor([[1, 1]])).tolist() == [[5.0, 2.0]]
    assert export("torchscript", str(tmp_path / "bare.pt"), "-o", str(tmp_path / "out.pt")).exit_code == 2


def test_the_model_that_ships_is_small_and_whole() -> None:
    """At most 50 MB, its digest is right, and everything that is needed is inside."""
    assert TWEETS.stat().st_size <= 50_000_000
    extras = read_extras(TWEETS)
    assert extras.labels == ["hate-speech", "offensive-language", "neither"]
    assert extras.signature is not None
    assert (extras.signature.max_length, extras.signature.batch, extras.signature.length) == (128, "n", "t")
    assert extras.tokenizer is not None
    inside = json.loads(extras.tokenizer)
    assert inside["padding"] is None
    assert inside["truncation"]["max_length"] == 128
    done = subprocess.run(["sha256sum", "--check", "tweets.pt.sha256"], cwd=TWEETS.parent, capture_output=True, check=False)
    assert done.returncode == 0


def _signature(*, dims: Any = ("n", "t"), pad: Any = 0, **fields: Any) -> str:
    """A signature with other values of some fields."""
    inputs = [{"name": "a", "dtype": "int64", "dims": dims, "pad": pad}]
    return json.dumps({"format": 1, "name": "x", "problem_type": "regression", "inputs": inputs, "outputs": [], **fields})


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "signature.json"), ("[]", '"format" must be 1'), ('{"format": 1}', '"problem_type"'),
     ('{"format": 1, "problem_type": "regression"}', "'name' is missing"),
     ('{"format": 1, "problem_type": "regression", "name": "x", "inputs": [{"name": "a", "dtype": "int9", "dims": []}], "outputs": []}', "int9"),
     (_signature(max_length=-5), '"max_length" must be a whole number of at least 1, and is -5'),
     (_signature(max_length="64"), '"max_length" must be a whole number'),
     (_signature(batch=["n"]), '"batch" must be the name of a dimension'), (_signature(length={}), '"length" must be the name of a dimension'),
     (_signature(pad=[1]), '"pad" of \'a\' must be a number, and is'), (_signature(pad=float("inf")), '"pad" of \'a\' must be a number'),
     (_signature(dims=["n", 10**12]), "has more than 268435456 numbers")],
)  # fmt: skip
def test_a_wrong_signature_is_named(text: str, says: str) -> None:
    """The error names the field that is wrong."""
    with pytest.raises(ModelFileError, match=says):
        parse_signature(text)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("pt2", "{wrong}"), "wrong.pt is not a TorchScript file: "),
        (
            ("torchscript", "{wrong}", "--tokenizer", "{tokenizer}", "--labels", "{labels}"),
            "wrong.pt is not a TorchScript file: ",
        ),
        (("torchscript", "{wrong}", "--tokenizer", "{wrong}", "--labels", "{labels}"), "wrong.pt is not a tokenizer.json: "),
        (("checkpoint", "{folder}"), " is not a folder that models.train wrote: "),
    ],
)
def test_a_file_of_another_kind_is_one_line(options: tuple[str, ...], says: str, tmp_path: Path) -> None:
    """With its name and the library's reason, and no traceback."""
    (tmp_path / "wrong.pt").write_text("a b\n")
    (tmp_path / "labels.json").write_text('["a", "b"')
    labels = tmp_path / "names.json"
    labels.write_text('["a", "b"]')
    tokenizer().save(str(tmp_path / "tokenizer.json"))
    places = {"wrong": tmp_path / "wrong.pt", "tokenizer": tmp_path / "tokenizer.json", "labels": labels, "folder": tmp_path}
    done = export(*(option.format_map(places) for option in options), "-o", str(tmp_path / "out.pt"))
    assert done.exit_code == 1, done.output
    assert says in done.output
    assert done.output.count("\n") == 1
