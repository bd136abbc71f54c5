"""Names of a second text, in requests to a model that takes none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.inprocess import client


@pytest.mark.parametrize("body", [{"text": "a", "pair": "b"}, {"text": "a", "hypothesis": "b"}, {"texts": ["a"], "pairs": ["b"]},
    {"texts": [{"text": "a", "textPair": "b"}]}, {"texts": ["a"], "text_pair": ["b"]}])  # fmt: skip
def test_a_model_of_single_texts_asks_for_no_second_one(body: dict[str, Any]) -> None:
    """A name of a second text is refused without the right name, which would be refused, too."""
    answer = client().post("/classify", json=body)
    assert answer.status_code == 422
    assert answer.json["detail"].endswith("; this model takes single texts")
