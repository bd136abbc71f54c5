"""Reads the BERT vocabulary of a model without a tokenizer: lines of ``token id``, or a token on each
line, whose id is the line's number."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from vaccel_common.modelfile import Signature, TensorSpec

#: What the deployment guide's client sends to a model without a signature, and the classes of its answer.
GUIDE_LENGTH = 32
GUIDE_LABELS = ["hate-speech", "offensive-language", "neither"]
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


class VocabError(ValueError):
    """The file is not a BERT vocabulary; the message says why."""


def read_vocab(path: Path) -> dict[str, int]:
    """The id of each token. Raises `VocabError`, ``OSError``."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise VocabError(f"{path} is not UTF-8 text: byte {error.start} cannot be read") from None
    lines = [line for line in lines if line]
    vocab = _with_ids(lines) or {line: number for number, line in enumerate(lines)}
    missing = [token for token in _SPECIAL if token not in vocab]
    if missing:
        raise VocabError(f"{path} is not a BERT vocabulary: {', '.join(missing)} missing")
    return vocab


def _with_ids(lines: list[str]) -> dict[str, int] | None:
    """The vocabulary where every line is ``token id``."""
    pairs = [line.rsplit(maxsplit=1) for line in lines]
    if not all(len(pair) == 2 and pair[1].isascii() and pair[1].isdigit() for pair in pairs):
        return None
    return {token: int(number) for token, number in pairs}


def tokenizer(vocab: dict[str, int]) -> Tokenizer:
    """BERT's WordPiece over ``vocab``; lower-cases where no token has a capital."""
    lowercase = not any(token != token.lower() for token in vocab if not token.startswith("["))
    wordpiece = Tokenizer(WordPiece(vocab, unk_token="[UNK]"))  # noqa: S106 a token, not a secret
    wordpiece.normalizer = BertNormalizer(lowercase=lowercase)
    wordpiece.pre_tokenizer = BertPreTokenizer()
    ends = [("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])]
    wordpiece.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    wordpiece.enable_truncation(GUIDE_LENGTH)
    return wordpiece


def guide_signature(name: str, pad: int) -> Signature:
    """The signature of the guide's client: int64 ids [1, 32] and mask [1, 1, 32], padded; output float32 [1, 3]."""
    ids = TensorSpec("input_ids", "int64", (1, GUIDE_LENGTH), pad)
    mask = TensorSpec("attention_mask", "int64", (1, 1, GUIDE_LENGTH), 0)
    logits = TensorSpec("logits", "float32", (1, len(GUIDE_LABELS)))
    return Signature(name, "single_label_classification", GUIDE_LENGTH, (ids, mask), (logits,), None, None)
