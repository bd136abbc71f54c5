"""A request's body -> texts. What is wrong with it is said as a `Problem`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn

from function.problems import Problem

_FORM = 'send {"text": "..."} or {"texts": ["...", ...]}'


@dataclass(frozen=True)
class Limits:
    """How many texts one request may hold, and how many characters each."""

    texts: int
    chars: int


@dataclass(frozen=True)
class Texts:
    """The texts of a request; ``many``: it asked for a list of predictions."""

    texts: list[str]
    many: bool


def read(body: bytes, media_type: str, charset: str, limits: Limits) -> Texts:
    """The texts in ``body``. Raises `Problem`: 400 malformed, 415 media type, 422 unusable."""
    if media_type == "text/plain":
        return _checked(Texts([_decoded(body, charset)], many=False), limits)
    if media_type == "application/json":
        return _checked(_of_object(_json(_decoded(body, "utf-8"))), limits)
    given = f"not {media_type}" if media_type else "and none was given"
    raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the content type must be application/json or text/plain, {given}")


def _decoded(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset)
    except LookupError:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"unknown charset {charset!r}; send UTF-8") from None
    except UnicodeDecodeError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not {charset}: byte {error.start} cannot be read") from None


def _json(text: str) -> Any:
    def refuse(name: str) -> NoReturn:
        raise ValueError(f"{name} is no JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the JSON is nested too deep; {_FORM}") from None
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}; {_FORM}") from None


def _of_object(data: Any) -> Texts:
    if not isinstance(data, dict):
        _unusable(f"the JSON must be an object: {_FORM}")
    if ("text" in data) == ("texts" in data):
        _unusable(f'either "text" or "texts" is needed: {_FORM}')
    if "text" in data:
        return Texts([data["text"]], many=False)
    if not isinstance(data["texts"], list):
        _unusable('"texts" must be a list of strings')
    return Texts(data["texts"], many=True)


def _checked(asked: Texts, limits: Limits) -> Texts:
    if not asked.texts:
        _unusable('"texts" is empty; at least one text is needed')
    if len(asked.texts) > limits.texts:
        _unusable(f"{len(asked.texts)} texts; at most {limits.texts} in one request (MAX_TEXTS)")
    for i, text in enumerate(asked.texts):
        _check(text, f"texts[{i}]" if asked.many else "the text", limits.chars)
    return asked


def _check(text: object, where: str, most: int) -> None:
    if not isinstance(text, str):
        _unusable(f"{where} must be a string")
    if not text.strip():
        _unusable(f"{where} is empty")
    if len(text) > most:
        _unusable(f"{where} has {len(text)} characters; at most {most} (MAX_TEXT_CHARS)")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        _unusable(f"{where} holds half a surrogate pair at character {error.start}, which is no text")


def _unusable(detail: str) -> NoReturn:
    raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
