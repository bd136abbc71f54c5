"""A request of any way in: its texts and options, read from JSON or a plain text, and checked. No HTTP."""

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
#: How like ``text`` a misspelt name must be, from 0 to 1.
_ALIKE = 0.8


@dataclass(frozen=True)
class RequestLimits:
    """How many texts a request may hold, how many characters each text, and how many bytes the body."""

    texts: int
    chars: int
    body: int


@dataclass(frozen=True)
class ClassifyRequest:
    """The texts of a request, in order, and its options; a bad text is its `Unusable`. ``many``: it expects a list of predictions."""

    texts: list[str | Unusable]
    many: bool
    options: Options

    def refuse_bad(self, items: Sequence[object]) -> None:
        """Raises the first `Unusable` or `RpcError` among the items, unless each of many texts is to get its own error."""
        if self.many and self.options.errors == "item":
            return
        for item in items:
            if isinstance(item, Unusable):
                raise item if self.many else named(item)
            if isinstance(item, RpcError):
                raise item


def of_object(data: Any, limits: RequestLimits, defaults: Mapping[str, Any]) -> ClassifyRequest:
    """The request in ``{"text": ...}`` or ``{"texts": [...]}``; ``defaults``: options that the object may leave out. Raises `Unusable`."""
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


def of_line(data: Any, limits: RequestLimits, defaults: Mapping[str, Any]) -> ClassifyRequest:
    """The request in one line: `of_object` of a single text, which may be joined with others (`joined`). Raises `Unusable`."""
    if not isinstance(data, dict) or "text" not in data:
        hint = _hint(data, "text") if isinstance(data, dict) else ""
        raise Unusable(f'each line is an object: {{"text": "..."}}, with an optional "id"{hint}')
    return of_object({**data, "errors": "item"}, limits, defaults)


def joined(requests: Sequence[ClassifyRequest]) -> ClassifyRequest:
    """Lines with the same options as one request, in which each text gets its own error."""
    return ClassifyRequest([text for request in requests for text in request.texts], many=True, options=requests[0].options)


def _hint(names: Iterable[str], *expected: str) -> str:
    """A question whether one of the names was meant to be an expected one, if it is like it."""
    guess = misspelt(names, {name: name for name in expected}, _ALIKE)
    return f'; did you mean "{guess[1]}" by "{guess[0]}"?' if guess else ""


def of_texts(texts: list[Any], limits: RequestLimits, options: Options, *, many: bool) -> ClassifyRequest:
    """A request for those texts. Raises `Unusable` for the first bad text, unless each of ``many`` is to get its own error."""
    if not texts:
        raise Unusable('"texts" is empty; at least one text is needed')
    if len(texts) > limits.texts:
        raise Unusable(f"{len(texts)} texts; at most {limits.texts} in one request (MAX_TEXTS)")
    checked = [checked_text(text, f"texts[{i}]" if many else "the text", limits.chars) for i, text in enumerate(texts)]
    request = ClassifyRequest(checked, many, options)
    request.refuse_bad(checked)
    return request


def checked_text(text: object, where: str, limit: int) -> str | Unusable:
    """The text, or what is wrong with it. ``where``: its name in the message; ``limit``: in characters."""
    if not isinstance(text, str):
        return Unusable(f"{where} must be a string")
    if not text.strip():
        return Unusable(f"{where} is empty")
    if len(text) > limit:
        return Unusable(f"{where} has {len(text)} characters; at most {limit} (MAX_TEXT_CHARS)")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return Unusable(f"{where} has an unpaired surrogate at character {error.start}")
    return text
