"""What a model is for and where its limits are: the entry ``about.json`` of a model file."""

from __future__ import annotations

import json
from dataclasses import dataclass

#: Characters of each sentence, at most: they are shown on a page and in every document about the service.
MAX_CHARS = 1000
_FIELDS = ("description", "limits")


@dataclass(frozen=True)
class About:
    """``description``: what the model does, for whom and from which data; ``limits``: where it fails.

    Both are plain text for people, in whole sentences, and empty where the author states nothing.
    """

    description: str = ""
    limits: str = ""

    def json(self) -> dict[str, str]:
        """The fields that are stated."""
        return {name: text for name in _FIELDS if (text := getattr(self, name))}


def parse_about(text: str | bytes) -> About:
    """The contents of ``about.json``, format 1. Raises ``ValueError``, naming the invalid field."""
    data = json.loads(text)
    if not isinstance(data, dict) or data.get("format") != 1:
        raise ValueError('about.json: "format" must be 1')
    return About(*(_field(name, data.get(name, "")) for name in _FIELDS))


def write_about(about: About) -> str:
    """``about.json`` of ``about``. Raises ``ValueError`` for a sentence that may not be in it."""
    text = json.dumps({"format": 1, **about.json()}, indent=1)
    parse_about(text)
    return text


def sentence(text: object) -> str:
    """``text``, if it may be shown as one of the fields. Raises ``ValueError`` with the reason where it may not."""
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is not a string")
    if len(text) > MAX_CHARS:
        raise ValueError(f"it has {len(text)} characters; the limit is {MAX_CHARS}")
    strange = next((character for character in text if not character.isprintable()), None)
    if strange is not None:
        raise ValueError(f"it has the character U+{ord(strange):04X}; plain text of one line is expected")
    return text.strip()


def _field(name: str, value: object) -> str:
    try:
        return sentence(value)
    except ValueError as error:
        raise ValueError(f'about.json: "{name}": {error}') from None
