"""A request of any way in: its texts and options, read from JSON or a plain text, and checked. No HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from function.core.options import Options, Unusable, named, read_options
from function.core.reading import Malformed as Malformed
from function.core.reading import decoded as decoded
from function.core.reading import parse_json as parse_json
from function.core.texts import FORM, PAIR_FORM, SINGLE, Text, checked, hint, of_fields, of_item, refuse_misspelt_pair
from vaccel_common.modelfile import Pairs
from vaccel_common.records import record
from vaccel_rpc.errors import RpcError


@dataclass(frozen=True)
class RequestLimits:
    """How many texts a request may hold, how many characters each text, how many bytes the body, and whether texts may be ``pairs``."""

    texts: int
    chars: int
    body: int
    pairs: Pairs = "allowed"


@record
class ClassifyRequest:
    """The texts and pairs of a request, in order, and its options; a bad one is its `Unusable`. ``many``: it expects a list."""

    texts: list[Text | Unusable]
    many: bool
    options: Options

    def refuse_bad(self, items: Sequence[object]) -> None:
        """Raises the first `Unusable` or `RpcError` among the items, unless each of many texts is to get its own error."""
        if self.many and self.options.errors == "item":
            return
        for i, item in enumerate(items):
            if isinstance(item, Unusable):
                raise item if self.many else named(item)
            if isinstance(item, RpcError):
                raise item.with_place(f"texts[{i}]") if self.many else item


def of_object(data: Any, limits: RequestLimits, defaults: Mapping[str, Any]) -> ClassifyRequest:
    """The request in ``{"text": ...}``, with a ``text_pair`` or without, or in ``{"texts": [...]}``.

    ``defaults``: options that the object may leave out. Raises `Unusable`.
    """
    if not isinstance(data, dict):
        raise Unusable(f"the JSON must be an object: {FORM}")
    if "text" in data:
        if "texts" in data:
            raise Unusable(f'"text" and "texts" are both given; only one of them is taken: {FORM}')
    elif "texts" not in data:
        raise Unusable(f'either "text" or "texts" is needed: {FORM}{hint(data, "text", "texts")}')
    options = read_options({**defaults, **data})
    if "text" in data:
        return of_texts([of_fields(data, limits.pairs)], limits, options, many=False)
    right = SINGLE if limits.pairs == "refused" else f'in "texts" each pair is an object: {PAIR_FORM}'
    if data.get("text_pair") is not None:
        raise Unusable(f'"text_pair" goes beside "text"; {right}')
    refuse_misspelt_pair(data, right, limits.pairs)
    if not isinstance(data["texts"], list):
        raise Unusable('"texts" must be a list of strings, or of objects with "text" and "text_pair"')
    items = [of_item(item, f"texts[{i}]", limits.pairs) for i, item in enumerate(data["texts"])]
    return of_texts(items, limits, options, many=True)


def of_line(data: Any, limits: RequestLimits, defaults: Mapping[str, Any]) -> ClassifyRequest:
    """The request in one line: `of_object` of a single text or pair, which may be joined with others (`joined`). Raises `Unusable`."""
    if not isinstance(data, dict) or "text" not in data:
        question = hint(data, "text") if isinstance(data, dict) else ""
        raise Unusable(f'each line is an object: {{"text": "..."}}, with an optional "text_pair" and "id"{question}')
    if "errors" in data:
        # Every line has its own error, but a wrong value is reported here as anywhere.
        read_options({"errors": data["errors"]})
    return of_object({**data, "errors": "item"}, limits, defaults)


def joined(requests: Sequence[ClassifyRequest]) -> ClassifyRequest:
    """Lines with the same options as one request, in which each text gets its own error."""
    return ClassifyRequest([text for request in requests for text in request.texts], many=True, options=requests[0].options)


def of_texts(texts: list[Any], limits: RequestLimits, options: Options, *, many: bool) -> ClassifyRequest:
    """A request for those texts and `Pair` s, still unchecked.

    Raises `Unusable` for the first bad text, unless each of ``many`` is to get its own error.
    """
    if not texts:
        raise Unusable('"texts" is empty; at least one text is needed')
    if len(texts) > limits.texts:
        raise Unusable(f"{len(texts)} texts; at most {limits.texts} in one request (MAX_TEXTS)")
    good = [checked(text, f"texts[{i}]" if many else "the text", limits.chars) for i, text in enumerate(texts)]
    request = ClassifyRequest(good, many, options)
    request.refuse_bad(good)
    return request
