"""Reads the labelled tweets from CSV and splits them by a hash of the text."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vaccel_common.csvfile import CsvRow, read_columns
from vaccel_common.textfile import TextFileError

#: Class names; the index is the class id of the CSV's ``class`` column and of the model's logits.
LABELS = ("hate-speech", "offensive-language", "neither")
#: The columns with the raters' votes for each class, in the order of `LABELS`.
VOTES = ("hate_speech", "offensive_language", "neither")

Part = Literal["train", "tune", "validation"]


@dataclass(frozen=True)
class Tweet:
    """One labelled text; ``label`` is an index into `LABELS`.

    ``votes``: the share of its raters for each class; they sum to 1.
    """

    text: str
    label: int
    votes: tuple[float, ...]


def part_of(text: str, seed: int = 1) -> Part:
    """The split that a text belongs to: 10 % validation, 5 % tune, the rest train.

    The split depends only on the text. The validation texts can be identified without a list of row
    numbers, in any order of the rows, and duplicates fall into the same split.
    """
    digest = hashlib.sha256(f"{seed}\0{text}".encode()).digest()
    bucket = int.from_bytes(digest[:4], "big") % 100
    if bucket < 10:
        return "validation"
    return "tune" if bucket < 15 else "train"


def read_tweets(path: Path, *, voted: bool = False) -> list[Tweet]:
    """All rows of a CSV with the columns ``tweet`` and ``class``, and with those of `VOTES` where it is ``voted``.

    Without votes, all of a text's are for its class. Raises `TextFileError` for a class other than
    0, 1 or 2, for votes that are not whole numbers above 0 in sum, and for what
    `vaccel_common.csvfile.read_columns` refuses.
    """
    return [_tweet(path, row) for row in read_columns(path, ("tweet", "class", *(VOTES if voted else ())))]


def _tweet(path: Path, row: CsvRow) -> Tweet:
    text, label, *votes = row.fields
    if label not in ("0", "1", "2"):
        raise TextFileError(f"{path}, line {row.line}: class is {label!r}, not 0, 1 or 2")
    counts = _counts(path, row.line, votes) if votes else [int(label) == i for i in range(len(LABELS))]
    return Tweet(text, int(label), tuple(count / sum(counts) for count in counts))


def _counts(path: Path, line: int, votes: list[str]) -> list[int]:
    if not all(vote.isascii() and vote.isdigit() for vote in votes) or not any(int(vote) for vote in votes):
        raise TextFileError(f"{path}, line {line}: votes {', '.join(map(repr, votes))} are not whole numbers above 0 in sum")
    return [int(vote) for vote in votes]


def of_part(tweets: list[Tweet], part: Part, seed: int = 1) -> list[Tweet]:
    """The tweets of one part of the split, in the file's order."""
    return [tweet for tweet in tweets if part_of(tweet.text, seed) == part]
