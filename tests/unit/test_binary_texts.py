"""Texts in binary tensors that are not UTF-8: each is told with its place, as a text of JSON is that cannot be encoded."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from tests.support.inprocess import client


def infer(texts: list[bytes], errors: str, name: str = "text") -> Any:
    data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    inputs: list[dict[str, Any]] = [
        {"name": name, "datatype": "BYTES", "shape": [len(texts)], "parameters": {"binary_data_size": len(data)}}
    ]
    if name != "text":
        inputs.append({"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": ["tea"] * len(texts)})
    head = json.dumps({"inputs": inputs, "parameters": {"errors": errors}}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return client().post("/v2/models/tweets/infer", data=head + data, headers=headers)


@pytest.mark.parametrize(("text", "at"), [(b"\xff\xfe", 0), (b"caf\xe9", 3), (b"\xed\xa0\xbd", 0), (b"\xef\xbb\xbftea\xff", 6)])
def test_an_element_that_is_not_utf_8_is_named(text: bytes, at: int) -> None:
    """By its place among the texts, and the byte in it."""
    answer = infer([b"tea", text], "request")
    assert (answer.status_code, answer.json["error"]) == (400, f"texts[1] is not UTF-8: byte {at} cannot be read")


def test_the_other_elements_are_answered() -> None:
    """Where each text has its own error."""
    outputs = {output["name"]: output["data"] for output in infer([b"tea", b"\xff", b"\xef\xbb\xbftea"], "item").json["outputs"]}
    assert outputs["error"] == ["", "texts[1] is not UTF-8: byte 0 cannot be read", ""]
    assert [label != "" for label in outputs["label"]] == [True, False, True]


def test_a_second_text_is_named_so() -> None:
    """An element of the input text_pair belongs to a pair."""
    answer = infer([b"tea", b"\xff"], "request", "text_pair")
    assert answer.json["error"] == "texts[1]'s text_pair is not UTF-8: byte 0 cannot be read"
