"""Reads bytes as text and text as JSON; the errors say what is wrong and where."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from typing import Any, NoReturn

from function.core.charsets import codec
from function.core.options import Unusable, out_of_range, refuse_repeated

_UTF_8 = "utf-8"


class Malformed(ValueError):
    """Bytes that cannot be read as what they should be; the message says why."""


def decoded(body: bytes, charset: str = _UTF_8, what: str = "the body") -> str:
    """The text in ``body``, without a byte order mark. Raises `Malformed`, for an unknown ``charset`` ``LookupError``."""
    try:
        return body.decode(charset if charset == _UTF_8 else codec(charset)).removeprefix("\ufeff")
    except UnicodeError as error:
        at = f"byte {error.start} cannot be read" if isinstance(error, UnicodeDecodeError) else "it cannot be read"
        raise Malformed(f"{what} is not {charset[:40]}: {at}") from None


def parse_json(body: bytes, what: str = "the body") -> Any:
    """The JSON in ``body``, which messages call ``what``; every number in it is finite.

    Raises `Malformed`, and `Unusable` for a number out of range and for a name that an object has twice.
    """
    text = decoded(body, what=what)
    try:
        return _parsed(text, _STRICT, what)
    except Malformed:
        raise
    except ValueError:
        raise _refusal(_parsed(text, _LENIENT, what)) from None


def _parsed(text: str, decode: Callable[[str], Any], what: str) -> Any:
    try:
        return decode(text)
    except RecursionError:
        raise Malformed(f"{what} is too deeply nested JSON") from None
    except json.JSONDecodeError as error:
        raise Malformed(f"{what} is not valid JSON: {error}") from None


class _Refused(str):
    """A number that cannot be represented, as it was written."""

    __slots__ = ()


def _refuse(_: str) -> NoReturn:
    raise ValueError


def _finite(written: str) -> float:
    number = float(written)
    return number if math.isfinite(number) else _refuse(written)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        refuse_repeated(Counter(name for name, _ in pairs).items())
    return fields


def _or_refused(kind: Callable[[str], float]) -> Callable[[str], float | _Refused]:
    def read(written: str) -> float | _Refused:
        try:
            return kind(written)
        except ValueError:
            return _Refused(written)

    return read


#: Raises a plain ``ValueError`` for a number that cannot be represented, as ``int`` does by itself.
_STRICT = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse, parse_float=_finite).decode
#: Puts a `_Refused` in the place of such a number, so that the message can say where it is. Only
#: JSON that has been refused is read a second time.
_LENIENT = json.JSONDecoder(
    object_pairs_hook=_once, parse_constant=_Refused, parse_float=_or_refused(_finite), parse_int=_or_refused(int)
).decode


_SEARCHED = (dict, list, _Refused)


def _refusal(data: Any) -> Malformed | Unusable:
    """The error for the number in ``data`` that cannot be represented, with its place."""
    stack = [("", data)]
    while True:
        where, value = stack.pop()
        if isinstance(value, _Refused):
            name = where[1:80] or "the number"
            nan = value[-1].isalpha()
            return Malformed(f'"{name}" is {value}, which is not valid JSON') if nan else Unusable(out_of_range(name, value))
        items = value.items() if isinstance(value, dict) else enumerate(value)
        stack += [(f"{where}.{name}", item) for name, item in items if isinstance(item, _SEARCHED)]
