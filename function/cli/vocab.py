"""BERT vocabularies of models that bring no tokenizer: ``token id`` lines, or a token a line whose id is the line's number."""

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
    """The file is no BERT vocabulary; the message says why."""


def read_vocab(path: Path) -> dict[str, int]:
    """Token -> id. Raises `VocabError`, ``OSError``."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise VocabError(f"{path} is no text: byte {error.start} is not UTF-8") from None
    lines = [line for line in lines if line]
    vocab = _with_ids(lines) or {line: number for number, line in enumerate(lines)}
    missing = [token for token in _SPECIAL if token not in vocab]
    if missing:
        raise VocabError(f"{path} is no BERT vocabulary: {', '.join(missing)} not in it")
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
    made = Tokenizer(WordPiece(vocab, unk_token="[UNK]"))  # noqa: S106 a vocabulary's word, no secret
    made.normalizer = BertNormalizer(lowercase=lowercase)
    made.pre_tokenizer = BertPreTokenizer()
    ends = [("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])]
    made.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    made.enable_truncation(GUIDE_LENGTH)
    return made


def guide_signature(name: str, pad: int) -> Signature:
    """What the guide's client sends: ids [1, 32] and a mask [1, 1, 32], int64, padded; float32 [1, 3] comes back."""
    ids = TensorSpec("input_ids", "int64", (1, GUIDE_LENGTH), pad)
    mask = TensorSpec("attention_mask", "int64", (1, 1, GUIDE_LENGTH), 0)
    logits = TensorSpec("logits", "float32", (1, len(GUIDE_LABELS)))
    return Signature(name, "single_label_classification", GUIDE_LENGTH, (ids, mask), (logits,), None, None)
