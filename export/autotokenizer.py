"""The tokenizer of a folder, as transformers' AutoTokenizer builds it."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.refusal import Refused, one_line

#: Files of tokenizers: of the tokenizers library, word pieces, byte pairs, sentencepiece and tiktoken.
_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "*.model", "*.tiktoken")
_SAVE = "add it, or save the tokenizer there (tokenizer.save_pretrained)"


def read_tokenizer(folder: Path) -> Any:
    """The fast tokenizer that AutoTokenizer builds of the files in ``folder``.

    Raises `Refused` where it cannot, where it would build one that knows no words because none of
    its files is there, and where the tokenizer has no form as tokenizer.json.
    """
    from transformers import AutoTokenizer

    files = sorted({path.name for pattern in _FILES for path in folder.glob(pattern) if path.is_file()})
    there = ", ".join(files) or f"no file of a tokenizer ({', '.join(_FILES)})"
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # noqa: BLE001 transformers raises many kinds
        raise Refused(f"{folder} has {there}, of which AutoTokenizer cannot build one: {_reason(error, files)}") from None
    if not getattr(tokenizer, "is_fast", False):
        raise Refused(
            f"{type(tokenizer).__name__} has no form as tokenizer.json (a fast tokenizer), and the function has no other"
        )
    names = _names(tokenizer)
    if names and not names & set(files):
        # AutoTokenizer gives it the special tokens alone, and says nothing.
        raise Refused(f"{type(tokenizer).__name__} is built of {' or '.join(sorted(names))}, and {folder} has {there}: {_SAVE}")
    return tokenizer


def check_embeddings(tokenizer: Any, vocabulary: int) -> None:
    """Raises `Refused` where the shortest text has a token beyond the model's ``vocabulary``."""
    ids = tokenizer("a")["input_ids"]
    if ids and (largest := max(ids)) >= vocabulary:
        token = tokenizer.convert_ids_to_tokens(largest)
        raise Refused(
            f"the tokenizer gives every text token {largest} ({token}), and the model has embeddings of tokens "
            f"0 to {vocabulary - 1}: its files are not those of this model, or incomplete"
        )


def _names(tokenizer: Any) -> set[str]:
    """The names of the files that hold the vocabulary of the tokenizer's class."""
    named = getattr(tokenizer, "vocab_files_names", {})
    return {name for key, name in named.items() if key != "merges_file"}


def _reason(error: Exception, files: Sequence[str]) -> str:
    models = [name for name in files if name.endswith(".model") and name != "tiktoken.model"]
    if models and "tiktoken" in str(error):
        # transformers takes whatever it cannot read as a sentencepiece model for one of tiktoken.
        if importlib.util.find_spec("sentencepiece") is None:
            return f"{models[0]} needs the package sentencepiece (make install-export)"
        return f"{models[0]} cannot be read as a sentencepiece model, and tiktoken's need 'pip install tiktoken'"
    if "vocab.json" in files and "merges.txt" not in files and "merges" in str(error):
        return "merges.txt is missing"
    # For this reason transformers has a list in several lines.
    return _SAVE if not files or "Couldn't instantiate" in str(error) else one_line(error)
