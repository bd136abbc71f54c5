"""Builds the tokenizer of tweets that the model file contains."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Regex, Tokenizer, normalizers

#: Parts of tweets that the label does not depend on: user names, targets of links, HTML escapes.
_RULES = (
    (r"https?://\S+", " http "),
    (r"&#\d+;", " "),
    (r"&amp;", "&"),
    (r"&lt;", "<"),
    (r"&gt;", ">"),
    (r"@\w+", "@user"),
)


def tweet_tokenizer(path: Path, max_length: int) -> Tokenizer:
    """The Hugging Face tokenizer in ``path``, with the rules for tweets before its own normalizer.

    It does not pad (only the agent does), and truncates at ``max_length`` tokens, including ``[CLS]``
    and ``[SEP]``.
    """
    tokenizer: Tokenizer = Tokenizer.from_file(str(path))
    rules = [normalizers.Replace(Regex(pattern), text) for pattern, text in _RULES]
    tokenizer.normalizer = normalizers.Sequence([*rules, tokenizer.normalizer])
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer
