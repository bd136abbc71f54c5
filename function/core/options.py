"""The options of a request besides its texts: the same names and values over every way in."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from function.core.spelling import misspelt
from vaccel_common.kinds import Choice, Flag, Kind
from vaccel_common.number_kinds import Integer, Number
from vaccel_common.options import declared, option

Truncation = Literal["error", "head", "tail", "window"]
TRUNCATIONS: tuple[Truncation, ...] = ("error", "head", "tail", "window")
Errors = Literal["request", "item"]
ERRORS: tuple[Errors, ...] = ("request", "item")


class Unusable(ValueError):
    """A text or an option that cannot be used; the message says what would be right."""


def named(error: Unusable, name: str = "the text") -> Unusable:
    """The same error with the text called ``name``, where the message has its place in a list that the caller did not send."""
    head, bracket, tail = str(error).partition("]")
    return Unusable(name + tail) if bracket and head.startswith("texts[") else error


@dataclass(frozen=True)
class Options:
    """The options that a request may set, over every way in by these names."""

    truncation: Truncation | None = option(
        Choice(TRUNCATIONS), shown="as the model's tokenizer: head, or tail where it truncates on the left",
        help="How to treat a text longer than the model sees: refuse it, keep its beginning (head) or its end (tail), or classify "
        "overlapping windows and average their scores. Of two texts the longer one is shortened first.",
        choose="Use window where any part of the text may matter, and error where a part would mislead.",
    )  # fmt: skip
    top_k: int | None = option(Integer(1), shown="all", help="Answer only the k best labels in scores, best first.")
    threshold: float | None = option(
        Number(), shown="none", help="Add labels: every label whose score is at least this, best first.",
        choose="Use it where a text may have several labels, or none.",
    )  # fmt: skip
    logits: bool = option(Flag(), default=False, help="Add logits: the model's outputs before they become scores, by label.")
    errors: Errors = option(
        Choice(ERRORS), "request", help="Where one text of many is wrong: refuse the whole request, or give that text its own error.",
        choose="Use item where the other texts' predictions are wanted in any case.",
    )  # fmt: skip


#: Names beside the options that a request's object may have; none is a misspelt option.
_BESIDE = frozenset(("text", "texts", "text_pair", "id"))
#: How like an option's name another must be: ``logit`` and ``treshold`` are, ``logins`` and ``topic`` are not.
_ALIKE = 0.88
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def read_options(entries: Mapping[str, Any]) -> Options:
    """The options among ``entries``; null means the default. Raises `Unusable`, for a misspelt one too."""
    values: dict[str, Any] = {}
    others: list[str] = []
    for name, value in entries.items():
        if read := _READ.get(name):
            if value is not None:
                values[name] = read(value)
        elif name not in _BESIDE:
            others.append(name)
    if others:
        refuse_misspelt(others)
    return Options(**values)


def refuse_misspelt(names: Iterable[str], others: Iterable[str] = ()) -> None:
    """Raises `Unusable` for a name that is nearly an option's, as ``topk`` or ``Threshold``; any other name is ignored.

    ``others``: further names that have a meaning where these stand, each in lower-case letters.
    """
    if guess := misspelt(names, _SPELLINGS | {name: name for name in others}, _ALIKE):
        raise Unusable(f'"{guess[0]}" is not an option; did you mean "{guess[1]}"?')


#: What to send instead of a field of which there are several.
_SEVERAL = {"text": '; send several texts as "texts"', "text_pair": '; send several pairs as "texts", in JSON'}


def refuse_repeated(counts: Iterable[tuple[str, int]]) -> None:
    """Raises `Unusable` for the first name that is there more than once: of two values either could be meant."""
    for name, count in counts:
        if count > 1:
            raise Unusable(f'"{name[:80]}" is there twice{_SEVERAL.get(name, "")}')


def typed(fields: Mapping[str, str]) -> dict[str, Any]:
    """The options of a form or query string, with the types that JSON would give them. Raises `Unusable`."""
    return {name: _typed(name, fields[name].strip()) for name in _READ if name in fields}


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
    """The message for a number, as it was written, that is too large to represent."""
    shown = number if len(number) <= 20 else f"{number[:20]}... ({len(number)} characters)"
    bounds = f"at most {sys.float_info.max:.2g}, and an integer of at most {sys.get_int_max_str_digits()} digits"
    return f'"{name}" is out of range: {shown}; {bounds}'


def _reader(name: str, kind: Kind[Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        try:
            return kind.check(value)
        except ValueError:
            raise Unusable(f'"{name}" must be {kind.needed}') from None

    return read


_READ: dict[str, Callable[[Any], Any]] = {option.name: _reader(option.name, option.kind) for option in declared(Options)}
#: The names of the options.
OPTIONS = frozenset(_READ)

#: How a name is spelt by which an option is meant, and what means none, though it is much alike: fields of answers.
_SPELLINGS = {name.replace("_", ""): name for name in _READ} | {"truncate": "truncation", "truncated": "", "error": ""}
