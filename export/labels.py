"""The labels of a classifier: a list of texts, each of which is there once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.refusal import Refused

#: The labels that an error names, at most.
_FEW = 5


def read_labels(path: Path | None) -> list[str] | None:
    """The list in a file of labels (``--labels``). Raises `Refused`."""
    if path is None:
        return None
    try:
        labels = json.loads(path.read_bytes())
    except ValueError as error:
        raise Refused(f"--labels {path}: {error}") from None
    if not isinstance(labels, list) or not labels:
        raise Refused(f"--labels {path}: a JSON list of names is expected, in the order of class ids")
    return checked(labels, f"--labels {path}")


def checked(labels: Sequence[Any], source: str, hint: str = "") -> list[str]:
    """The labels.

    ``source`` says in an error where they are from, and ``hint`` what to do. Raises `Refused` for a label
    that is not text or is given twice.
    """
    if wrong := [label for label in labels if not isinstance(label, str) or not label.strip()]:
        raise Refused(f"{source} has labels that are not text, {_listed(wrong)}{hint}")
    if double := sorted({label for label in labels if labels.count(label) > 1}):
        raise Refused(f"{source} has labels twice, {_listed(double)}{hint}")
    return list(labels)


def _listed(labels: Sequence[Any]) -> str:
    return json.dumps(labels[:_FEW], ensure_ascii=False, default=str)
