"""A folder's tokenizer is exported as AutoTokenizer builds it, whatever files it is in, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from tests.support.families import make, tokenizer_for
from tests.tools.test_export_families import export
from vaccel_common.modelfile import read_extras

#: Family -> the name of its sentencepiece model, and the control tokens that its authors put into it.
SENTENCEPIECE = {
    "albert": ("spiece.model", ["[CLS]", "[SEP]", "[MASK]"]),
    "deberta-v2": ("spm.model", ["[CLS]", "[SEP]", "[MASK]"]),
    "t5": ("spiece.model", []),
    "xlm-roberta": ("sentencepiece.bpe.model", []),
}
#: As `SENTENCEPIECE`, of more families; `make models-check` tries them.
MORE = {
    "big_bird": ("spiece.model", ["[CLS]", "[SEP]", "[MASK]"]),
    "camembert": ("sentencepiece.bpe.model", []),
    "mbart": ("sentencepiece.bpe.model", []),
    "rembert": ("sentencepiece.model", ["[CLS]", "[SEP]", "[MASK]"]),
    "xlnet": ("spiece.model", ["<sep>", "<cls>", "<mask>"]),
}
TEXTS = ("the tea was cold", "We said AGAIN: das ist gut", "这是 很好 🙂", "")


def _without_tokenizer(folder: Path) -> Path:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    return folder


def _sentencepiece_model(path: Path, control: list[str]) -> None:
    """A model of the kind that the families' authors publish, trained on a few lines."""
    lines = ["the tea was cold and the train was late", "what a lovely day it is", "das ist gut и это хорошо", "今天 天气 很好"]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 50),
        model_prefix=str(path.with_suffix("")),
        vocab_size=100,
        hard_vocab_limit=False,
        control_symbols=control,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=3,
        minloglevel=2,
    )
    path.with_suffix(".vocab").unlink()


@pytest.mark.parametrize("family", [*SENTENCEPIECE, *(pytest.param(family, marks=pytest.mark.models) for family in MORE)])
def test_a_sentencepiece_model_alone_is_enough(tmp_path: Path, family: str) -> None:
    """Its tokens in the file are those of AutoTokenizer and, but for special ones, of sentencepiece itself."""
    # mBART's network finds the end of a text by the id that its tokenizer gives to </s>.
    ids: dict[str, Any] = {"pad_token_id": 1, "eos_token_id": 2} if family == "mbart" else {"pad_token_id": 0, "eos_token_id": 1}
    folder = _without_tokenizer(make(tmp_path / "folder", family, vocab_size=250, **ids))
    name, control = (SENTENCEPIECE | MORE)[family]
    _sentencepiece_model(folder / name, control)
    done = export(folder, tmp_path / "out.pt")
    assert done.exit_code == 0, done.output
    written = Tokenizer.from_str((read_extras(tmp_path / "out.pt").tokenizer or b"").decode())
    automatic = AutoTokenizer.from_pretrained(folder)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / name))
    for text in TEXTS:
        assert written.encode(text).ids == automatic(text)["input_ids"]
    plain = TEXTS[0]
    assert written.encode(plain, add_special_tokens=False).tokens == pieces.encode(plain, out_type=str)


@pytest.mark.parametrize("family", ["distilbert", "electra"])
def test_a_vocabulary_file_alone_is_enough(tmp_path: Path, family: str) -> None:
    """``vocab.txt`` of word pieces, without any configuration of the tokenizer."""
    folder = _without_tokenizer(make(tmp_path / "folder", family))
    vocabulary = tokenizer_for(family).get_vocab()
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n", encoding="utf-8")
    done = export(folder, tmp_path / "out.pt")
    assert done.exit_code == 0, done.output
    written = Tokenizer.from_str((read_extras(tmp_path / "out.pt").tokenizer or b"").decode())
    assert [written.encode(text).ids for text in TEXTS] == AutoTokenizer.from_pretrained(folder)(list(TEXTS))["input_ids"]


def test_byte_pairs_in_two_files_are_enough_and_one_of_them_is_not(tmp_path: Path) -> None:
    """``vocab.json`` with ``merges.txt``; the missing one is named."""
    folder = make(tmp_path / "folder", "roberta")
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    _without_tokenizer(folder)
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    assert _refused(folder).endswith("AutoTokenizer cannot build one: merges.txt is missing")
    (folder / "merges.txt").write_text(
        "#version: 0.2\n" + "".join(f"{' '.join(pair)}\n" for pair in model["merges"]), encoding="utf-8"
    )
    done = export(folder, tmp_path / "out.pt")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("family", ["distilbert", "roberta", "albert", "mpnet", "modernbert"])
def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path, family: str) -> None:
    """AutoTokenizer would build one of some families that knows no words."""
    line = _refused(_without_tokenizer(make(tmp_path / "folder", family)))
    assert "folder has no file of a tokenizer (tokenizer.json, vocab.txt, " in line
    assert "tokenizer.save_pretrained" in line


def test_a_vocabulary_of_another_class_is_refused(tmp_path: Path) -> None:
    """ALBERT's class is not built of BERT's file, and would know no words."""
    folder = _without_tokenizer(make(tmp_path / "folder", "albert"))
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\n")
    assert "AlbertTokenizer is built of spiece.model or tokenizer.json, and" in _refused(folder)


def test_a_vocabulary_that_lacks_the_special_tokens_is_refused(tmp_path: Path) -> None:
    """They would get ids that the model has no embeddings for."""
    folder = _without_tokenizer(make(tmp_path / "folder", "mpnet"))
    (folder / "vocab.txt").write_text("".join(f"word{i}\n" for i in range(215)) + "[UNK]\n")
    line = _refused(folder)
    assert "the tokenizer gives every text token 21" in line
    assert "embeddings of tokens 0 to 215" in line


def test_a_damaged_sentencepiece_model_is_called_so(tmp_path: Path) -> None:
    """Transformers itself asks for tiktoken then."""
    folder = _without_tokenizer(make(tmp_path / "folder", "xlm-roberta"))
    (folder / "sentencepiece.bpe.model").write_bytes(b"\xff" * 100)
    assert "sentencepiece.bpe.model cannot be read as a sentencepiece model" in _refused(folder)


def _refused(folder: Path) -> str:
    done = export(folder, folder.parent / "out.pt")
    assert done.exit_code == 1
    assert not (folder.parent / "out.pt").exists()
    (line,) = done.output.splitlines()
    return line
