"""``signature.json`` of text classifiers."""

from __future__ import annotations

import json
from collections.abc import Sequence

from vaccel_common.modelfile import Pairs


def classifier_signature(
    name: str, problem_type: str, max_length: int, classes: int, *, inputs: Sequence[str], pad: int, pairs: Pairs | None = None
) -> str:
    """``signature.json`` of a text classifier, batched along n and padded along t.

    Its inputs are int64 [n, t], its output is float32 [n, classes]. ``pad`` is the token id that
    pads the first input; the others (masks, segment ids) are padded with 0. ``pairs`` None: not stated.
    """
    specs = [
        {"name": input_name, "dtype": "int64", "dims": ["n", "t"], "pad": pad if i == 0 else 0}
        for i, input_name in enumerate(inputs)
    ]
    outputs = [{"name": "logits", "dtype": "float32", "dims": ["n", classes]}]
    signature = {"format": 1, "name": name, "problem_type": problem_type, "max_length": max_length}
    signature |= {} if pairs is None else {"pairs": pairs}
    return json.dumps({**signature, "inputs": specs, "outputs": outputs, "batch": "n", "length": "t"}, indent=1)
