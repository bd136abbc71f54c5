"""Labels of classes: read from a file of lines, and the best one chosen by a model's output."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from vaccel_common.kinds import not_empty
from vaccel_common.textfile import decoded, lines_of
from vaccel_rpc.errors import FailedPrecondition, Internal
from vaccel_rpc.tensors import Tensor, is_finite, to_values

#: Bytes of a file of labels.
_MAX_FILE = 4 << 20

Labels = Sequence[str]


def read_labels(path: str) -> tuple[str, ...]:
    """The labels in a text file (UTF-8), one a line, in the order of the classes.

    Empty lines at the end do not count. Raises ``ValueError`` with the reason.
    """
    try:
        with Path(not_empty(path)).open("rb") as file:
            data = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise ValueError(error.strerror) from None
    if len(data) > _MAX_FILE:
        raise ValueError(f"a file of labels has at most {_MAX_FILE} bytes")
    labels = lines_of(decoded(data, "the file"))
    while labels and not labels[-1]:
        labels.pop()
    if not labels:
        raise ValueError("the file has no labels; one a line is expected")
    return tuple(labels)


def best_class(outputs: Sequence[Tensor]) -> tuple[int, int]:
    """The class of the largest number in a model's first output, and the number of classes.

    Raises `FailedPrecondition` where the output is not one row, `Internal` where any output is not finite.
    """
    if not outputs:
        raise FailedPrecondition("the model gave no output; one row of numbers for each image is expected")
    output = outputs[0]
    count = output.dims[-1] if output.dims else 0
    if not count or math.prod(output.dims) != count:
        raise FailedPrecondition(
            f"the model's first output is {list(output.dims)}; one row of numbers for each image is expected"
        )
    if not all(map(is_finite, outputs)):
        raise Internal("the model's output is not finite: it has NaN or infinite numbers")
    numbers = to_values(output)
    return max(range(count), key=numbers.__getitem__), count


def label_of(outputs: Sequence[Tensor], own: Labels | None, given: Labels) -> str:
    """The label of the best class by a model's outputs.

    ``own``: labels in the model's file; where there are not as many as classes, those ``given`` to
    the agent count. Raises `FailedPrecondition` where neither fit.
    """
    best, count = best_class(outputs)
    for labels in (own, given):
        if labels and len(labels) == count:
            return labels[best]
    in_file = f"labels.json in its file has {len(own)}" if own else "its file has no labels.json"
    of_agent = f"--labels (VACCEL_TORCH_LABELS) has {len(given)}" if given else "--labels (VACCEL_TORCH_LABELS) is not set"
    raise FailedPrecondition(f"the model has {count} classes and needs a label for each: {in_file}, {of_agent}")
