"""Bytes to JSON: what comes out can be written as JSON again, what does not is said."""

from __future__ import annotations

import encodings
import gc
import json
import pkgutil
import tracemalloc
from encodings.aliases import aliases
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.core.options import Unusable
from function.core.reading import Malformed, decoded, parse_json

LONG = "9" * 5000


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ('{"a": 1e400}', Unusable, '"a" is out of range: 1e400; at most 1.8e+308'),
        ('{"a": [0, {"b": -1e999}]}', Unusable, '"a.1.b" is out of range: -1e999'),
        (f'{{"a": {LONG}}}', Unusable, '"a" is out of range: 99999999999999999999... (5000 characters)'),
        (f"-{LONG}", Unusable, '"the number" is out of range'),
        ('{"a": NaN, "a": 1}', Unusable, '"a" is there twice'),
        ('{"a": 1e400, "a": 1}', Unusable, '"a" is there twice'),
        ('{"b": [{"a": 1, "b": 2, "a": 1}]}', Unusable, '"a" is there twice'),
        (f'{{"{"k" * 500}": 1, "{"k" * 500}": 1}}', Unusable, f'"{"k" * 80}" is there twice'),
        ("NaN", Malformed, '"the number" is NaN, which is not valid JSON'),
        ('{"a": {"b": -Infinity}}', Malformed, '"a.b" is -Infinity, which is not valid JSON'),
        ('{"a": 1e400', Malformed, "is not valid JSON: Expecting ',' delimiter"),
        ("", Malformed, "is not valid JSON: Expecting value"),
        ("[" * 100_000, Malformed, "too deeply nested"),
        (f'{{"{"k" * 500}": 1e400}}', Unusable, f'"{"k" * 79}" is out of range'),
    ],
)
def test_what_cannot_be_read_is_said(body: str, error: type[Exception], says: str) -> None:
    """With its place; what is valid JSON and too large a number is unusable, not malformed."""
    with pytest.raises(error) as raised:
        parse_json(body.encode(), "the line")
    assert says in str(raised.value)


@pytest.mark.parametrize(("written", "value"), [("1e308", 1e308), ("1e-400", 0.0), ("9" * 4000, int("9" * 4000)), ("-0.0", -0.0)])
def test_numbers_of_every_other_size_are_read(written: str, value: float) -> None:
    """Numbers within range are read, and whole ones exactly."""
    assert parse_json(written.encode()) == value


@pytest.mark.parametrize("text", ["{}", ' {"a": "\ufeff"}'])
def test_a_byte_order_mark_is_skipped(text: str) -> None:
    """One, at the beginning: elsewhere it is a character."""
    assert parse_json("\ufeff".encode() + text.encode()) == json.loads(text)
    with pytest.raises(Malformed):
        parse_json("\ufeff\ufeff{}".encode())


@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_texts_of_every_charset_lose_theirs(charset: str) -> None:
    """The mark is dropped, whether the codec drops it or not."""
    assert decoded("\ufeffcafé".encode(charset), charset) == "café"


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,4})(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
JSON = st.recursive(
    NUMBERS | st.sampled_from(["NaN", "Infinity", "-Infinity", "null", "true", LONG]) | st.text().map(json.dumps),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda parts: "[" + ",".join(parts) + "]")
        | st.lists(st.tuples(st.text(max_size=4), inner), max_size=4).map(
            lambda parts: "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in parts) + "}"
        )
    ),
    max_leaves=12,
)


@given(JSON.map(str.encode) | st.binary(max_size=40))
def test_whatever_is_read_can_be_written(body: bytes) -> None:
    """Strictly, as JSON that any reader takes; what is refused has a message."""
    if written(body) is None:
        with pytest.raises((Malformed, Unusable), match=r"\w+ \w+"):
            parse_json(body)
    else:
        assert json.dumps(parse_json(body), allow_nan=False) == written(body)


def sound(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of which every field is finite, and there once."""
    json.dumps(pairs, allow_nan=False)
    if len(fields := dict(pairs)) < len(pairs):
        raise ValueError
    return fields


def written(body: bytes) -> str | None:
    """What Python's own reader takes the bytes for, or None where they are not JSON or not `sound`."""
    try:
        return json.dumps(json.loads(body.decode(), object_pairs_hook=sound), allow_nan=False)
    except ValueError:
        return None


NO_CHARSETS = {"charmap", "idna", "mbcs", "oem", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"}


def test_every_codec_is_found_by_every_name() -> None:
    """A charset is known, by any spelling, where Python has a codec for texts of that name; escapes and the like are none."""
    names = [*aliases, *(module.name for module in pkgutil.iter_modules(encodings.__path__))]
    for name in [*names, "UTF8", "Shift-JIS", "ISO_8859-1:1987", "windows 1252", "u.t.f.8", "klingon", "hex", ""]:
        if aliases.get(name, name) in NO_CHARSETS:
            with pytest.raises(LookupError):
                decoded(b"a a ", name)
            continue
        try:
            text: str | None = b"a a ".decode(name)
        except (LookupError, UnicodeError):
            text = None
        try:
            assert decoded(b"a a ", name) == text, name
        except (LookupError, Malformed):
            assert text is None, name


def test_names_of_charsets_that_nobody_knows_are_not_kept() -> None:
    """A client that names another one with every request takes no memory with it."""
    tracemalloc.start()
    try:
        for number in range(100):
            with pytest.raises(LookupError):
                decoded(b"a", f"{number}{'x' * 20_000}")
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 200_000
