"""What is in the folder is what runs; what cannot run is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from transformers import AutoModel, AutoModelForSequenceClassification

from export.commands import main
from tests.support.families import make, tokenizer_for
from tests.support.smallmodel import write_small_model
from tests.tools.test_export_families import export, verdict
from vaccel_common.modelfile import Signature, read_extras


def edit_config(folder: Path, **changes: Any) -> None:
    """Changes config.json."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def refused(folder: Path, *options: str) -> str:
    """The one line with which it is refused; nothing is written."""
    out = folder.parent / "out.pt"
    done = export(folder, out, *options)
    assert done.exit_code != 0
    assert not out.exists()
    line = done.output.splitlines()[-1]
    assert line.startswith("Error: ")
    return line


def _signature(path: Path) -> Signature:
    signature = read_extras(path).signature
    assert signature is not None
    return signature


def test_labels_that_do_not_name_every_class_are_refused_and_can_be_named(tmp_path: Path) -> None:
    """Missing, double, no text: with the list; --labels names them."""
    folder = make(tmp_path / "folder", "distilbert")
    for labels, says in (
        ({"0": "a", "1": "b", "5": "c"}, "names [0, 1, 5]"),
        ({"0": "a", "1": "b", "2": "a"}, 'twice, ["a"]'),
        ({"0": "a", "1": 7, "2": None}, "not text, [7, null]"),
    ):
        edit_config(folder, id2label=labels)
        line = refused(folder)
        assert says in line
        assert "--labels FILE" in line
    (tmp_path / "labels.json").write_text('["a", "b"]')
    assert "classifier.bias is [3], and [2] by config.json with its 2 label(s)" in refused(
        folder, "--labels", str(tmp_path / "labels.json")
    )
    (tmp_path / "labels.json").write_text('["sehr gut", "嫌い", "🙂"]')
    done = export(folder, tmp_path / "out.pt", "--labels", str(tmp_path / "labels.json"))
    assert done.exit_code == 0, done.output
    assert read_extras(tmp_path / "out.pt").labels == ["sehr gut", "嫌い", "🙂"]


def test_a_checkpoint_without_a_head_is_refused_by_the_names_of_what_it_lacks(tmp_path: Path) -> None:
    """A base model would get a head of random numbers."""
    folder = make(tmp_path / "folder", "distilbert")
    AutoModel.from_pretrained(folder).save_pretrained(folder)
    line = refused(folder)
    assert "lacks classifier.bias, classifier.weight, pre_classifier.bias and 1 more" in line


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "transformers cannot load"),
        (lambda folder: edit_config(folder, model_type="nothing-known"), "transformers cannot load"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused_in_one_line(tmp_path: Path, spoil: Callable[[Path], None], says: str) -> None:
    """Without a traceback."""
    folder = make(tmp_path / "folder", "distilbert")
    spoil(folder)
    assert says in refused(folder)


def test_a_hub_name_says_how_to_download_it(tmp_path: Path) -> None:
    """The tool downloads nothing itself."""
    for command in ("huggingface", "onnx"):
        done = CliRunner().invoke(main, [command, "someone/some-model", "-o", str(tmp_path / "out.onnx")])
        assert done.exit_code == 2
        assert "hf download someone/some-model --local-dir some-model" in done.output


def test_a_model_without_a_padding_token_says_which_option_names_one(tmp_path: Path) -> None:
    """GPT-2 finds the end of a text by it."""
    folder = make(tmp_path / "folder", "gpt2")
    assert "--pad-id 0 (<|endoftext|>)" in refused(folder)
    assert "--pad-id 100000 is no token of the model, which has 0 to" in refused(folder, "--pad-id", "100000")


@pytest.mark.parametrize(
    ("labels", "stated", "options", "runs"),
    [
        (("spam",), None, (), "multi_label_classification"),
        (("stars",), "regression", (), "regression"),
        (("a", "b"), "multi_label_classification", (), "multi_label_classification"),
        (("a", "b"), None, ("--problem-type", "regression"), "regression"),
    ],
)
def test_scores_are_those_of_the_pipeline(
    tmp_path: Path, labels: tuple[str, ...], stated: str | None, options: tuple[str, ...], runs: str
) -> None:
    """One label without a problem type is a sigmoid; an option takes precedence."""
    folder = make(tmp_path / "folder", "distilbert", labels, problem_type=stated)
    done = export(folder, tmp_path / "out.pt", *options)
    assert done.exit_code == 0, done.output
    assert _signature(tmp_path / "out.pt").problem_type == runs


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_checkpoint_in_16_bits_runs_in_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    """Its file has 16-bit weights only where they hold the same numbers."""
    folder = make(tmp_path / "folder", "distilbert", dtype=dtype)
    done = export(folder, tmp_path / "out.pt")
    assert done.exit_code == 0, done.output
    assert float(str(verdict(tmp_path / "out.pt")["scores"])) <= 1e-5
    assert verdict(tmp_path / "out.pt")["weights"] == "float16"


def test_16_bit_weights_are_written_where_they_change_nothing_or_are_forced(tmp_path: Path) -> None:
    """--half states the difference; the default keeps float32 where a score would change."""
    folder, out = make(tmp_path / "folder", "distilbert"), tmp_path / "out.pt"
    assert export(folder, out).exit_code == 0
    assert verdict(out)["weights"] == "float32"
    forced = export(folder, out, "--half")
    assert forced.exit_code == 0, forced.output
    assert verdict(out)["weights"] == "float16"
    assert float(str(verdict(out)["scores"])) > 1e-5
    assert "float16 weights" in forced.output
    assert "a .pt2 file has 32-bit weights" in export(folder, tmp_path / "out.pt2", "--half").output


def _with_weight(folder: Path, value: float) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        model.pre_classifier.weight[0, 0] = value
    model.save_pretrained(folder)


def test_weights_beyond_16_bits_are_refused_where_those_are_forced(tmp_path: Path) -> None:
    """They are infinite there; without --half the file has float32 weights."""
    folder = make(tmp_path / "folder", "distilbert")
    _with_weight(folder, 1e5)
    assert "pre_classifier.weight has values beyond the range of 16-bit numbers" in refused(folder, "--half")
    assert export(folder, tmp_path / "out.pt").exit_code == 0
    assert verdict(tmp_path / "out.pt")["weights"] == "float32"
    (tmp_path / "out.pt").unlink()
    _with_weight(folder, float("nan"))
    assert "pre_classifier.weight has values that are NaN or infinite" in refused(folder)


def test_a_file_that_differs_is_not_written_unless_that_is_allowed(tmp_path: Path) -> None:
    """The verdict, the limit and the other form are in one line."""
    folder = make(tmp_path / "folder", "distilbert", n_layers=1)
    line = refused(folder, "--allow-difference", "0")
    assert "scores differ by at most" in line
    assert "the limit is 0 (--allow-difference); nor is it right as .pt2" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder"]


def test_the_last_line_names_the_file_and_the_next_command(tmp_path: Path) -> None:
    """And the lines before it say where the longest input comes from."""
    folder = make(tmp_path / "folder", "roberta")
    done = export(folder, tmp_path / "out.pt", "--max-length", "32")
    assert "longest input: 32 tokens (max_position_embeddings less the offset of 2: 64" in done.output
    assert _signature(tmp_path / "out.pt").max_length == 32
    last = done.output.splitlines()[-1]
    assert last.startswith(f"{tmp_path / 'out.pt'} is ready; next: vaccel-rpc-agent ")
    assert "--max-length 65 is more than the model takes" in export(folder, tmp_path / "o.pt", "--max-length", "65").output


def test_a_tokenizer_is_the_one_that_transformers_builds(tmp_path: Path) -> None:
    """A folder of vocab.txt alone, lower-cased as its configuration says."""
    folder = make(tmp_path / "folder", "bert")
    vocabulary = tokenizer_for("bert").get_vocab()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "BertTokenizer", "do_lower_case": false, "model_max_length": 48}'
    )
    done = export(folder, tmp_path / "out.pt")
    assert done.exit_code == 0, done.output
    assert "longest input: 48 tokens (max_position_embeddings: 64; the tokenizer's model_max_length: 48)" in done.output
    tokenizer = json.loads(read_extras(tmp_path / "out.pt").tokenizer or b"")
    assert tokenizer["normalizer"]["lowercase"] is False


def test_a_checkpoint_of_the_training_is_compared_with_its_network(tmp_path: Path) -> None:
    """And the verdict says so."""
    small = write_small_model(tmp_path / "small.pt")
    entries = dict.fromkeys(("tokenizer.json", "labels.json", "config.json"), "")
    state = torch.jit.load(str(small), _extra_files=entries).float().state_dict()
    torch.save(state, tmp_path / "state.pt")
    for name, content in entries.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    done = CliRunner().invoke(main, ["checkpoint", str(tmp_path), "-o", str(tmp_path / "out.pt")])
    assert done.exit_code == 0, done.output
    assert verdict(tmp_path / "out.pt")["against"] == "the checkpoint"
    # The small model's weights are 16-bit numbers already.
    assert verdict(tmp_path / "out.pt")["weights"] == "float16"


@pytest.mark.parametrize("where", ["tokenizer_config.json", "tokenizer.json"])
def test_a_tokenizer_that_keeps_the_end_is_followed(tmp_path: Path, where: str) -> None:
    """The file's own tokenizer keeps the end unless a request says otherwise, as transformers' pipeline does; the tool says so."""
    folder = make(tmp_path / "folder", "distilbert")
    tokenizer = tokenizer_for("distilbert", **({"truncation_side": "left"} if where == "tokenizer_config.json" else {}))
    if where == "tokenizer.json":
        tokenizer.backend_tokenizer.enable_truncation(64, direction="left")
    tokenizer.save_pretrained(folder)
    done = export(folder, tmp_path / "out.pt")
    assert done.exit_code == 0, done.output
    assert "the end is kept, by the tokenizer's truncation_side (left)" in done.output
    assert _direction(tmp_path / "out.pt") == "Left"


def test_a_bare_modules_tokenizer_keeps_its_side(tmp_path: Path) -> None:
    """``torchscript`` takes the direction of truncation from tokenizer.json, too."""
    folder = make(tmp_path / "folder", "distilbert")
    assert export(folder, tmp_path / "first.pt").exit_code == 0
    tokenizer = tokenizer_for("distilbert").backend_tokenizer
    tokenizer.enable_truncation(64, direction="left")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "labels.json").write_text('["good", "bad", "neither"]')
    files = ["--tokenizer", str(tmp_path / "tokenizer.json"), "--labels", str(tmp_path / "labels.json"), "--max-length", "32"]
    done = CliRunner().invoke(main, ["torchscript", str(tmp_path / "first.pt"), *files, "-o", str(tmp_path / "out.pt")])
    assert done.exit_code == 0, done.output
    assert _direction(tmp_path / "out.pt") == "Left"


def _direction(path: Path) -> str:
    direction: str = json.loads(read_extras(path).tokenizer or b"")["truncation"]["direction"]
    return direction


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """Before the model is loaded where it does not exist."""
    folder = make(tmp_path / "folder", "distilbert")
    done = export(folder, tmp_path / "nowhere" / "out.pt")
    assert done.output == f"Error: --out {tmp_path}/nowhere/out.pt: there is no folder {tmp_path}/nowhere\n"
