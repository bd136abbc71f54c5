"""What a model file states of pairs of texts."""

from __future__ import annotations

import json

import pytest

from vaccel_common.modelfile import ModelFileError, parse_signature


def test_a_signature_states_pairs_by_one_of_three_words() -> None:
    """Any other value is refused with them."""
    data = {"format": 1, "name": "x", "problem_type": "regression", "inputs": [], "outputs": []}
    assert parse_signature(json.dumps(data)).pairs is None
    for pairs in ("allowed", "required", "refused"):
        assert parse_signature(json.dumps({**data, "pairs": pairs})).pairs == pairs
    with pytest.raises(ModelFileError, match='"pairs" must be one of allowed, required, refused'):
        parse_signature(json.dumps({**data, "pairs": True}))
