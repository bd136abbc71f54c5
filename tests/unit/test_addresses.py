"""Addresses are parsed once, and an error says what would be right."""

from __future__ import annotations

import pytest

from vaccel_rpc.addresses import AddressError, parse


@pytest.mark.parametrize(
    "text",
    ["unix:///run/a.sock", "tcp://127.0.0.1:65500", "tcp://agent.svc:1", "tcp://[::1]:80", "vsock://2:2048", "vsock://4294967295:1",
     "grpc://h:1", "grpcs://h:1", "grpc+unix:///a"],
)  # fmt: skip
def test_an_address_gives_its_text_back(text: str) -> None:
    """The text of a parsed address is what was parsed, for every kind."""
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("localhost:65500", "no scheme"),
        ("http://h:1", "unknown scheme 'http'"),
        ("unix://a.sock", "must be absolute"),
        ("unix:///" + "x" * 107, "at most 107 bytes"),
        ("tcp://h", "expected tcp://HOST:PORT"),
        ("tcp://:1", "expected tcp://HOST:PORT"),
        ("tcp://h:65536", "from 0 to 65535"),
        ("tcp://h:x", "the port must be a number"),
        ("tcp://::1:80", "expected tcp://HOST:PORT"),
        ("vsock://host:1", "the cid must be a number"),
        ("vsock://4294967296:1", "from 0 to 4294967295"),
    ],
)
def test_a_wrong_address_says_what_would_be_right(text: str, says: str) -> None:
    """The message holds the address and the reason."""
    with pytest.raises(AddressError) as raised:
        parse(text)
    assert says in str(raised.value)
    assert text in str(raised.value)


def test_the_longest_unix_path_is_taken() -> None:
    """A path of 107 bytes is the longest that a unix socket takes."""
    assert len(parse("unix:///" + "x" * 106).path) == 107
