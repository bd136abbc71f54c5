"""The command-line classifier with models of others, and with values that cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from function.cli.vocab import VocabError, read_vocab
from tests.support.classifier import run
from tests.support.paths import TWEETS
from tests.support.servers import ServerProcess

VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "tea", "cake", "and", "un", "##kind"]


class Foreign(nn.Module):
    """Takes the guide's inputs, ids [1, 32] and a mask [1, 1, 32]; counts the real tokens of even id."""

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        assert ids.shape == (1, 32)
        assert mask.shape == (1, 1, 32)
        real = mask[:, 0, :]
        return torch.stack([((ids % 2 == 0) * real).sum(1), (ids % 2 * real).sum(1), real.sum(1) * 0], 1).float()


class NotFinite(nn.Module):
    """Gives NaN for a text of two words."""

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        lengths = mask[:, 0, :].sum(1, keepdim=True).float()
        return torch.cat([lengths, lengths, torch.where(lengths == 4, float("nan"), lengths)], 1) + 0 * ids.sum()


@pytest.mark.parametrize("form", ["token", "token id"])
def test_the_guides_foreign_model(agent: ServerProcess, tmp_path: Path, form: str) -> None:
    """A model without a tokenizer is uploaded and gets WordPiece ids, padded to 32, by either kind of vocabulary file."""
    model, vocab, source = tmp_path / "cnn_trace.pt", tmp_path / "vocab.txt", tmp_path / "t.txt"
    torch.jit.save(torch.jit.script(Foreign()), str(model))
    vocab.write_text("".join(f"{token} {number}\n" if form == "token id" else f"{token}\n" for number, token in enumerate(VOCAB)))
    source.write_text("tea and unkind cake\n")
    done = run(agent, "-m", str(model), "-v", str(vocab), "-f", str(source), "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    # [CLS] 2, tea 4, and 6, un 7, ##kind 8, cake 5, [SEP] 3: four even ids, three odd.
    assert row["tokens"] == 7
    assert row["label"] == "hate-speech"
    assert row["scores"]["hate-speech"] / row["scores"]["offensive-language"] == pytest.approx(2.718281828, rel=1e-5)


def test_an_output_that_is_not_finite_is_an_error(agent: ServerProcess, tmp_path: Path) -> None:
    """The line is named and ends the work; with --errors item it has an error of its own. NaN is never printed."""
    model, vocab, source = tmp_path / "cnn_trace.pt", tmp_path / "vocab.txt", tmp_path / "t.txt"
    torch.jit.save(torch.jit.script(NotFinite()), str(model))
    vocab.write_text("\n".join(VOCAB))
    source.write_text("tea\ntea cake\ncake\n")
    options = ("-m", str(model), "-v", str(vocab), "-f", str(source), "--format", "jsonl", "--logits")
    done = run(agent, *options)
    assert done.returncode == 1
    assert "line 2: INTERNAL: the model's output is not finite" in done.stderr
    done = run(agent, *options, "--errors", "item")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row.get("error", {}).get("status") for row in rows] == [None, 502, None]
    assert "NaN" not in done.stdout


@pytest.mark.parametrize("option", [("--threshold", "nan"), ("--threshold", "1e400"), ("--top-k", "9" * 5000)])
def test_a_number_that_cannot_be_is_one_message(agent: ServerProcess, texts: Path, option: tuple[str, str]) -> None:
    """An impossible number is refused by one message without a traceback."""
    done = run(agent, "-m", str(TWEETS), "-f", str(texts), *option)
    assert done.returncode in (1, 2)
    assert option[0].strip("-").replace("-", "_") in done.stderr.replace("--top-k", "top_k")
    assert "Traceback" not in done.stderr


def test_a_foreign_model_needs_a_vocabulary_and_ours_ignores_it(agent: ServerProcess, tmp_path: Path, texts: Path) -> None:
    """One line says that a vocabulary is needed, and one that it is ignored."""
    model = tmp_path / "cnn_trace.pt"
    torch.jit.save(torch.jit.script(Foreign()), str(model))
    done = run(agent, "-m", str(model), "-f", str(texts))
    assert done.returncode == 1
    assert "with -v" in done.stderr
    done = run(agent, "-m", str(TWEETS), "-v", "vocab.txt", "-f", str(texts))
    assert done.returncode == 0
    assert "-v vocab.txt is ignored" in done.stderr


def test_what_is_no_vocabulary_is_said(tmp_path: Path) -> None:
    """The error names the tokens that are missing."""
    path = tmp_path / "vocab.txt"
    path.write_text("tea\ncake\n")
    with pytest.raises(VocabError, match=r"\[PAD\], \[UNK\], \[CLS\], \[SEP\]"):
        read_vocab(path)


SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def test_a_vocabulary_keeps_its_lines(tmp_path: Path) -> None:
    """The number of a line is its token's id: blank lines count, and only line feeds end lines."""
    path = tmp_path / "vocab.txt"
    tokens = [*SPECIAL, "", "\u2028", "\x85", "\x0b\x1c", "\ufeff", "tea"]
    path.write_bytes(("\ufeff" + "\r\n".join(tokens) + "\n").encode())
    assert read_vocab(path) == {token: number for number, token in enumerate(tokens)}
    pairs = [*zip(SPECIAL, range(4), strict=True), ("\u2028", 10), ("\u3000", 11), ("7", 12), ("tea", 4_294_967_295)]
    path.write_bytes("".join(f"{token} \t{number}\n\n" for token, number in pairs).encode())
    assert read_vocab(path) == dict(pairs)


@pytest.mark.parametrize("number", [str(2**32), "9" * 5000])
def test_an_id_that_is_too_large_is_told(tmp_path: Path, number: str) -> None:
    """With its line."""
    path = tmp_path / "vocab.txt"
    path.write_text("[PAD] 0\n[UNK] " + number)
    with pytest.raises(VocabError, match=rf"vocab.txt, line 2: the id {number[:20]} is too large; at most 4294967295$"):
        read_vocab(path)


@pytest.mark.parametrize("line", ["big -1", "big", "big 1.5"])
def test_a_line_without_an_id_is_told(tmp_path: Path, line: str) -> None:
    """Where the other lines have one: not that all special tokens are missing."""
    path = tmp_path / "vocab.txt"
    path.write_text("".join(f"{token} {number}\n" for number, token in enumerate(SPECIAL)) + f"\n{line}\ntea 4\n")
    with pytest.raises(VocabError) as failure:
        read_vocab(path)
    assert str(failure.value) == (
        f"{path}, line 6: {line!r} is not a token and its id, as other lines are; an id is an integer from 0 to 4294967295"
    )


def test_a_prefix_of_vaccels_before_the_model(agent: ServerProcess, texts: Path) -> None:
    """`file://`, which upstream's warning asks for, is accepted; a URL is not downloaded, and exit code 2 says so."""
    assert run(agent, "-m", f"file://{TWEETS}", "-f", str(texts)).returncode == 0
    done = run(agent, "-m", "https://models.example/cnn_trace.pt", "-f", str(texts))
    assert done.returncode == 2
    assert "https:// is not downloaded; the path of a local file is needed" in done.stderr
