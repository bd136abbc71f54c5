"""Reads the BERT vocabulary of a model without a tokenizer: lines of ``token id``, or a token on each
line, whose id is the line's number."""

from __future__ import annotations

import re
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from vaccel_common.modelfile import Signature, TensorSpec
from vaccel_common.textfile import read_lines

#: What the deployment guide's client sends to a model without a signature, and the classes of its answer.
GUIDE_LENGTH = 32
GUIDE_LABELS = ["hate-speech", "offensive-language", "neither"]
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
#: A token and its id. Only spaces and tabs divide them: a token may be another kind of space.
_PAIR = re.compile(r"(.*?)[ \t]+([0-9]+)[ \t]*", re.DOTALL)
#: Characters of a wrong line that a message shows.
_SHOWN = 40
#: The library's ids are uint32.
_MAX_ID = 2**32 - 1


class VocabError(ValueError):
    """The file is not a BERT vocabulary; the message says why."""


def read_vocab(path: Path) -> dict[str, int]:
    """The id of each token. Raises `VocabError`, `vaccel_common.textfile.TextFileError`."""
    lines = read_lines(path)
    # A blank line is a token, too: those after it keep their numbers.
    vocab = _with_ids(lines, path) or {line: number for number, line in enumerate(lines)}
    missing = [token for token in _SPECIAL if token not in vocab]
    if missing:
        raise VocabError(_odd_line(lines, path) or f"{path} is not a BERT vocabulary: {', '.join(missing)} missing")
    return vocab


def _odd_line(lines: list[str], path: Path) -> str | None:
    """The message about the first line that is not ``token id``, where most of the lines are."""
    written = [(number, line) for number, line in enumerate(lines, 1) if line.strip(" \t")]
    odd = [(number, line) for number, line in written if not _PAIR.fullmatch(line)]
    if not odd or 2 * len(odd) >= len(written):
        return None
    number, line = odd[0]
    return f"{path}, line {number}: {line[:_SHOWN]!r} is not a token and its id, as other lines are; an id is an integer from 0 to {_MAX_ID}"


def _with_ids(lines: list[str], path: Path) -> dict[str, int] | None:
    """The vocabulary where every line is ``token id``; blank lines do not count then."""
    vocab = {}
    for number, line in enumerate(lines, 1):
        pair = _PAIR.fullmatch(line)
        if pair is None:
            if line.strip(" \t"):
                return None
            continue
        digits = pair[2].lstrip("0") or "0"
        if len(digits) > len(str(_MAX_ID)) or int(digits) > _MAX_ID:
            raise VocabError(f"{path}, line {number}: the id {digits[:20]} is too large; at most {_MAX_ID}")
        vocab[pair[1]] = int(digits)
    return vocab


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
