"""Reads the labelled tweets from CSV and splits them by a hash of the text."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

#: Class names; the index is the class id of the CSV's ``class`` column and of the model's logits.
LABELS = ("hate-speech", "offensive-language", "neither")

Part = Literal["train", "tune", "validation"]


@dataclass(frozen=True)
class Tweet:
    """One labelled text; ``label`` is an index into `LABELS`."""

    text: str
    label: int


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


def read_tweets(path: Path) -> list[Tweet]:
    """All rows of a CSV with the columns ``tweet`` and ``class``.

    Raises ``ValueError`` for a missing column and for a class other than 0, 1 or 2.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        for column in ("tweet", "class"):
            if column not in (reader.fieldnames or ()):
                raise ValueError(f"{path}: no column {column!r}; the columns are {reader.fieldnames}")
        return [_tweet(path, reader.line_num, row) for row in reader]


def _tweet(path: Path, line: int, row: dict[str, str]) -> Tweet:
    if row["class"] not in ("0", "1", "2"):
        raise ValueError(f"{path}:{line}: class is {row['class']!r}, not 0, 1 or 2")
    return Tweet(row["tweet"], int(row["class"]))


def of_part(tweets: list[Tweet], part: Part, seed: int = 1) -> list[Tweet]:
    """The tweets of one part of the split, in the file's order."""
    return [tweet for tweet in tweets if part_of(tweet.text, seed) == part]
