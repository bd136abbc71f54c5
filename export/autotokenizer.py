"""The tokenizer of a folder, as transformers' AutoTokenizer builds it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.refusal import Refused, one_line, refuse_pointers

#: Files of tokenizers: of the tokenizers library, word pieces, byte pairs, sentencepiece and tiktoken.
_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "*.model", "*.tiktoken")
_SAVE = "add it, or save the tokenizer there (tokenizer.save_pretrained)"


def read_tokenizer(folder: Path, config: Any) -> Any:
    """The fast tokenizer that AutoTokenizer builds of the files in ``folder``, for a model with that configuration.

    Raises `Refused` where it cannot, where it would build one that knows no words because none of
    its files is there, and where the tokenizer has no form as tokenizer.json.
    """
    from transformers import AutoTokenizer

    files = sorted({path.name for pattern in _FILES for path in folder.glob(pattern) if path.is_file()})
    # A vocabulary in lines would be read of a pointer's lines. Where tokenizer.json is, the others are not read.
    refuse_pointers(folder / name for name in (["tokenizer.json"] if "tokenizer.json" in files else files))
    there = ", ".join(files) or f"no file of a tokenizer ({', '.join(_FILES)})"
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, config=config, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # noqa: BLE001 transformers raises many kinds
        raise Refused(f"{folder} has {there}, of which AutoTokenizer cannot build one: {_reason(error, files)}") from None
    if not getattr(tokenizer, "is_fast", False):
        raise Refused(
            f"{type(tokenizer).__name__} has no form as tokenizer.json (a fast tokenizer), and the function has no other"
        )
    if getattr(tokenizer, "split_special_tokens", False):
        raise Refused(
            "tokenizer_config.json has split_special_tokens, which takes special tokens in a text for words, and tokenizer.json "
            "cannot say so: set it to false"
        )
    names = _names(tokenizer)
    if names and not names & set(files):
        # AutoTokenizer gives it the special tokens alone, and says nothing.
        raise Refused(f"{type(tokenizer).__name__} is built of {' or '.join(sorted(names))}, and {folder} has {there}: {_SAVE}")
    return tokenizer


def check_embeddings(tokenizer: Any, vocabulary: int) -> list[str]:
    """The special tokens beyond the model's ``vocabulary`` that are left out (`without_tokens_beyond`).

    Classes of transformers add the special tokens that they know where a vocabulary lacks them. Raises
    `Refused` where a text may have another token beyond the vocabulary: the model would fail with it.
    """
    known = f"the model has embeddings of tokens 0 to {vocabulary - 1}"
    ids = tokenizer("a")["input_ids"]
    if ids and (largest := max(ids)) >= vocabulary:
        token = tokenizer.convert_ids_to_tokens(largest)
        raise Refused(
            f"the tokenizer gives every text token {largest} ({token}), and {known}: "
            "its files are not those of this model, or incomplete"
        )
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    beyond = sorted((number, token) for token, number in tokenizer.get_vocab().items() if number >= vocabulary)
    if words := [(number, token) for number, token in beyond if token not in special]:
        (number, token), *others = words
        more = f" and {len(others)} more" if others else ""
        raise Refused(
            f"the tokenizer has token {number} ({token}){more}, and {known}: take out what was added to the tokenizer, or train "
            "the model with it (model.resize_token_embeddings(len(tokenizer)))"
        )
    return [token for _, token in beyond]


def without_tokens_beyond(tokenizer: str, vocabulary: int) -> str:
    """A ``tokenizer.json`` without the added tokens beyond a model's vocabulary: in a text they are words."""
    content = json.loads(tokenizer)
    content["added_tokens"] = [token for token in content["added_tokens"] if token["id"] < vocabulary]
    return json.dumps(content)


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
