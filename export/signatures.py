"""``signature.json`` of text classifiers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from export.refusal import Refused
from vaccel_common.modelfile import Pairs, parse_signature


def classifier_signature(
    name: str, problem_type: str, max_length: int, classes: int, *, inputs: Sequence[str], pad: int, pairs: Pairs | None = None
) -> str:
    """``signature.json`` of a text classifier, batched along n and padded along t.

    Its inputs are int64 [n, t], its output is float32 [n, classes]. ``pad``, ``pairs``: see `signature_of`.
    """
    specs = [{"name": input_name, "dtype": "int64", "dims": ["n", "t"]} for input_name in inputs]
    output = {"name": "logits", "dtype": "float32", "dims": ["n", classes]}
    return signature_of(name, problem_type, max_length, specs, output, pad, pairs)


def signature_of(
    name: str,
    problem_type: str,
    max_length: int,
    inputs: Sequence[Mapping[str, Any]],
    output: Mapping[str, Any],
    pad: int,
    pairs: Pairs | None = None,
) -> str:
    """``signature.json`` of a text classifier with these entries of inputs and output.

    Where their dimensions n and t have a fixed size, it is neither batched nor padded along them.
    ``pad`` is the token id that pads ``input_ids``; the others (masks, segment ids) are padded with 0.
    ``pairs`` None: not stated. Raises `Refused` where the number of texts is fixed and not 1.
    """
    dims = [spec["dims"] for spec in inputs]
    if fixed := [dim[0] for dim in dims if dim[0] not in ("n", 1)]:
        raise Refused(f"it takes {fixed[0]} texts at a time and no other number: export it with a dynamic batch dimension")
    batch = "n" if all(dim[0] == "n" for dim in (*dims, output["dims"])) else None
    length = "t" if all(dim[1] == "t" for dim in dims) else None
    padded = [{**spec, "pad": pad if spec["name"] == "input_ids" else 0} for spec in inputs]
    facts = {"format": 1, "name": name, "problem_type": problem_type, "max_length": max_length}
    facts |= {} if pairs is None else {"pairs": pairs}
    facts |= {"inputs": padded, "outputs": [output], "batch": batch, "length": length}
    text = json.dumps(facts, indent=1)
    parse_signature(text)
    return text


def fitting(chosen: int | None, most: int | None, what: str) -> int | None:
    """The maximum of tokens that was ``chosen``, else the ``most`` that ``what`` takes; None: neither is known.

    Raises `Refused` where more were chosen.
    """
    if chosen and most and chosen > most:
        raise Refused(f"--max-length {chosen} is more than the {most} tokens that the {what} takes")
    return chosen or most
