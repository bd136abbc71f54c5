"""What a caller may ask for besides the texts: the same names and values over every way in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

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


def read_options(given: Mapping[str, Any]) -> Options:
    """The options among the entries of ``given``; null is the default. Raises `Unusable`."""
    values = {name: read(given[name]) for name, read in _READ.items() if given.get(name) is not None}
    return Options(**values)


def typed(given: Mapping[str, str]) -> dict[str, Any]:
    """A form's options with the types that JSON would give them; also a query string's."""
    return {name: _typed(given[name]) for name in _READ if name in given}


def _typed(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


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
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise Unusable('"threshold" must be a number')
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
