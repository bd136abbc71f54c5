"""What gets one prediction: a text, or two that are classified together; read from JSON and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from function.core.options import OPTIONS, Unusable
from function.core.spelling import misspelt
from vaccel_common.modelfile import Pairs


class Pair(NamedTuple):
    """Two texts that are classified together, as a question and a passage, or a premise and a hypothesis."""

    text: str
    text_pair: str


Text = str | Pair

FORM = 'send {"text": "..."} or {"texts": ["...", ...]}'
#: What is said of a second text where the model takes none.
SINGLE = "this model takes single texts"
PAIR_FORM = '{"text": "...", "text_pair": "..."}'
#: What people call the second text; a name nearly like one of these is meant so, too.
_SECOND = dict.fromkeys(("textpair", "textpairs", "pair", "hypothesis"), "text_pair")
_KNOWN = frozenset(("text", "texts", "text_pair", "id", *OPTIONS))
#: How like a name of the second text another must be, and how like ``text``, from 0 to 1.
_ALIKE, _ALIKE_TEXT = 0.88, 0.8


def of_fields(fields: Mapping[str, Any], pairs: Pairs = "allowed") -> Any:
    """What is in ``text`` and ``text_pair``, unchecked: a `Pair` where both are there. Null is nothing.

    Raises `Unusable` for a name by which ``text_pair`` is probably meant; every other name is ignored. ``pairs``: whether the model
    takes them.
    """
    second = fields.get("text_pair")
    if second is not None:
        return Pair(fields["text"], second)
    if len(fields) > 1:
        refuse_misspelt_pair(fields, 'did you mean "text_pair"?', pairs)
    return fields["text"]


def of_item(item: Any, where: str, pairs: Pairs = "allowed") -> Any:
    """One item of a list of texts, unchecked: a text, or a pair from an object with the names of a request for one.

    An `Unusable` where the object is wrong. ``where``: its name in the message; ``pairs``: whether the model takes them.
    """
    if not isinstance(item, dict):
        return item
    if "text" not in item:
        return Unusable(f'{where} has no "text": a text is a string, a pair {PAIR_FORM}{hint(item, "text")}')
    if option := next((name for name in item if name in OPTIONS), None):
        return Unusable(f'{where} has the option "{option}"; options go beside "texts", for all of them')
    try:
        return of_fields(item, pairs)
    except Unusable as error:
        return Unusable(f"{where}: {error}")


def refuse_misspelt_pair(fields: Mapping[str, Any], right: str, pairs: Pairs) -> None:
    """Raises `Unusable` for a name by which ``text_pair`` is probably meant.

    ``right``: what would be right for a model that takes ``pairs``; where it takes none, no name of a second text would be.
    """
    if "text_pair" not in fields and (guess := misspelt((name for name in fields if name not in _KNOWN), _SECOND, _ALIKE)):
        raise Unusable(f'"{guess[0]}" is not a field; {SINGLE if pairs == "refused" else right}')


def hint(names: Iterable[str], *expected: str) -> str:
    """A question whether one of the names was meant to be an expected one, if it is like it."""
    spellings = {name: name for name in expected} | ({"premise": "text"} if "text" in expected else {})
    guess = misspelt(names, spellings, _ALIKE_TEXT)
    return f'; did you mean "{guess[1]}" by "{guess[0]}"?' if guess else ""


def checked(text: object, where: str, limit: int) -> Text | Unusable:
    """The text or pair, or what is wrong with it. ``where``: its name in the message; ``limit``: of each text, in characters."""
    if isinstance(text, Pair):
        first, second = _checked(text.text, where, limit), _checked(text.text_pair, f"{where}'s text_pair", limit)
        return first if isinstance(first, Unusable) else second if isinstance(second, Unusable) else text
    return text if isinstance(text, Unusable) else _checked(text, where, limit)


def _checked(text: object, where: str, limit: int) -> str | Unusable:
    if not isinstance(text, str):
        return _not_a_string(text, where)
    if not text.strip():
        return Unusable(f"{where} is empty")
    if len(text) > limit:
        return Unusable(f"{where} has {len(text)} characters; at most {limit} (MAX_TEXT_CHARS)")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return Unusable(f"{where} has an unpaired surrogate at character {error.start}")
    return text


def _not_a_string(value: object, where: str) -> Unusable:
    """What is wrong with a value in a text's place; bytes are those of a text that could not be decoded."""
    if isinstance(value, list):
        return Unusable(f"{where} is a list; a pair is {PAIR_FORM}")
    if not isinstance(value, bytes):
        return Unusable(f"{where} must be a string")
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return Unusable(f"{where} is not UTF-8: byte {error.start} cannot be read")
    return Unusable(f"{where} must be a string")
