"""What a request asks for: texts and options, read from JSON or a plain text, checked. No HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from function.core.options import Options, Unusable, named, read_options
from function.core.reading import Malformed as Malformed
from function.core.reading import decoded as decoded
from function.core.reading import parse_json as parse_json
from function.core.spelling import misspelt
from vaccel_rpc.errors import RpcError

_FORM = 'send {"text": "..."} or {"texts": ["...", ...]}'
#: How like ``text`` a name must be that is there in its place.
_ALIKE = 0.8


@dataclass(frozen=True)
class Limits:
    """How many texts one request may hold, how many characters each, and how many bytes a body."""

    texts: int
    chars: int
    body: int


@dataclass(frozen=True)
class Asked:
    """The texts of a request, a bad one as its error; ``many``: it asked for a list of predictions."""

    texts: list[str | Unusable]
    many: bool
    options: Options

    def refuse_bad(self, items: Sequence[object]) -> None:
        """Raises the first `Unusable` or `RpcError` among the items, unless each of many was to get its own error."""
        if self.many and self.options.errors == "item":
            return
        for item in items:
            if isinstance(item, Unusable):
                raise item if self.many else named(item)
            if isinstance(item, RpcError):
                raise item


def of_object(data: Any, limits: Limits, defaults: Mapping[str, Any]) -> Asked:
    """What ``{"text": ...}`` or ``{"texts": [...]}`` asks for; ``defaults``: options it may leave out. Raises `Unusable`."""
    if not isinstance(data, dict):
        raise Unusable(f"the JSON must be an object: {_FORM}")
    if ("text" in data) == ("texts" in data):
        hint = "" if "text" in data else _hint(data, "text", "texts")
        raise Unusable(f'either "text" or "texts" is needed: {_FORM}{hint}')
    options = read_options({**defaults, **data})
    if "text" in data:
        return of_texts([data["text"]], limits, options, many=False)
    if not isinstance(data["texts"], list):
        raise Unusable('"texts" must be a list of strings')
    return of_texts(data["texts"], limits, options, many=True)


def of_line(data: Any, limits: Limits, defaults: Mapping[str, Any]) -> Asked:
    """What one line asks for: `of_object` of a single text. Raises `Unusable`."""
    if not isinstance(data, dict) or "text" not in data:
        hint = _hint(data, "text") if isinstance(data, dict) else ""
        raise Unusable(f'each line is an object: {{"text": "..."}}, with an "id" if you like{hint}')
    return of_object({**data, "errors": "request"}, limits, defaults)


def _hint(names: Iterable[str], *wanted: str) -> str:
    """Which of the names was meant to be a wanted one, if one is like it."""
    found = misspelt(names, {name: name for name in wanted}, _ALIKE)
    return f'; did you mean "{found[1]}" by "{found[0]}"?' if found else ""


def of_texts(texts: list[Any], limits: Limits, options: Options, *, many: bool) -> Asked:
    """Those texts, checked. Raises `Unusable` for the first bad one, unless each of ``many`` was to get its own error."""
    if not texts:
        raise Unusable('"texts" is empty; at least one text is needed')
    if len(texts) > limits.texts:
        raise Unusable(f"{len(texts)} texts; at most {limits.texts} in one request (MAX_TEXTS)")
    checked = [checked_text(text, f"texts[{i}]" if many else "the text", limits.chars) for i, text in enumerate(texts)]
    asked = Asked(checked, many, options)
    asked.refuse_bad(checked)
    return asked


def checked_text(text: object, where: str, most: int) -> str | Unusable:
    """The text, or what is wrong with it; ``where`` names it, ``most`` is how many characters it may have."""
    if not isinstance(text, str):
        return Unusable(f"{where} must be a string")
    if not text.strip():
        return Unusable(f"{where} is empty")
    if len(text) > most:
        return Unusable(f"{where} has {len(text)} characters; at most {most} (MAX_TEXT_CHARS)")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return Unusable(f"{where} has an unpaired surrogate at character {error.start}")
    return text
