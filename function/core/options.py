"""What a caller may ask for besides the texts: the same names and values over every way in."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from function.core.spelling import misspelt

Truncation = Literal["error", "head", "tail", "window"]
TRUNCATIONS: tuple[Truncation, ...] = ("error", "head", "tail", "window")
Errors = Literal["request", "item"]
ERRORS: tuple[Errors, ...] = ("request", "item")


class Unusable(ValueError):
    """A text or an option that cannot be used; the message says what would be right."""


def named(error: Unusable, name: str = "the text") -> Unusable:
    """The same error with the text called ``name``, where it was called by its place in a list that the caller did not send."""
    head, bracket, tail = str(error).partition("]")
    return Unusable(name + tail) if bracket and head.startswith("texts[") else error


@dataclass(frozen=True)
class Options:
    """See `OPTIONS` for what each means."""

    truncation: Truncation = "head"
    top_k: int | None = None
    threshold: float | None = None
    logits: bool = False
    errors: Errors = "request"


#: Name, values, default, meaning; what the docs, ``--help`` and OpenAPI say.
OPTIONS = (
    ("truncation", "error, head, tail, window", "head", "a text longer than the model sees: refuse it, keep its beginning or its "
     "end, or classify overlapping windows and average their scores"),
    ("top_k", "1 or more", "all", "only the k best labels in scores, best first"),
    ("threshold", "a number", "none", "adds labels: every label whose score is at least this, best first"),
    ("logits", "true, false", "false", "adds logits: what the model gave, by label"),
    ("errors", "request, item", "request", "one bad text among many: refuse the whole request, or give that text its own error"),
)  # fmt: skip


#: Names beside the options that a request's object may have: nobody looks whether an option was meant.
_BESIDE = frozenset(("text", "texts", "id"))
#: How like an option's name another must be: ``logit`` and ``treshold`` are, ``logins`` and ``topic`` are not.
_ALIKE = 0.88
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def read_options(given: Mapping[str, Any]) -> Options:
    """The options among the entries of ``given``; null is the default. Raises `Unusable`, for a misspelt one too."""
    values: dict[str, Any] = {}
    others: list[str] = []
    for name, value in given.items():
        if read := _READ.get(name):
            if value is not None:
                values[name] = read(value)
        elif name not in _BESIDE:
            others.append(name)
    if others:
        refuse_misspelt(others)
    return Options(**values)


def refuse_misspelt(names: Iterable[str]) -> None:
    """Raises `Unusable` for a name that is nearly an option's, as ``topk`` or ``Threshold``; any other may be there."""
    if found := misspelt(names, _SPELLINGS, _ALIKE):
        raise Unusable(f'"{found[0]}" is not an option; did you mean "{found[1]}"?')


def typed(given: Mapping[str, str]) -> dict[str, Any]:
    """A form's options with the types that JSON would give them; also a query string's. Raises `Unusable`."""
    return {name: _typed(name, given[name].strip()) for name in _READ if name in given}


def _typed(name: str, text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    if not _NUMBER.fullmatch(text):
        return text
    try:
        return int(text)
    except ValueError:
        number = float(text)
    if math.isinf(number):
        raise Unusable(out_of_range(name, text))
    return number


def out_of_range(name: str, number: str) -> str:
    """What is wrong with a number, as it was written, that is too large to be read."""
    shown = number if len(number) <= 20 else f"{number[:20]}... ({len(number)} characters)"
    most = f"at most {sys.float_info.max:.2g}, and an integer of at most {sys.get_int_max_str_digits()} digits"
    return f'"{name}" is out of range: {shown}; {most}'


def _one_of(name: str, values: tuple[str, ...]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in values:
            raise Unusable(f'"{name}" must be one of {", ".join(values)}')
        return value

    return read


def _top_k(value: Any) -> int:
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 1 or value % 1:
        raise Unusable('"top_k" must be a whole number, 1 or more')
    return int(value)


def _threshold(value: Any) -> float:
    # An integer may be larger than any float, and is finite.
    if not isinstance(value, int | float) or isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        raise Unusable('"threshold" must be a finite number')
    return value


def _logits(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unusable('"logits" must be true or false')
    return value


_READ: dict[str, Callable[[Any], Any]] = {
    "truncation": _one_of("truncation", TRUNCATIONS),
    "top_k": _top_k,
    "threshold": _threshold,
    "logits": _logits,
    "errors": _one_of("errors", ERRORS),
}

#: How a name is spelt by which an option is meant, and what means none, though it is much alike: fields of answers.
_SPELLINGS = {name.replace("_", ""): name for name in _READ} | {"truncate": "truncation", "truncated": "", "error": ""}
