"""Lists of addresses: what they mean, and what a wrong one is told."""

from __future__ import annotations

import pytest

from vaccel_rpc.addresses import AddressError, parse
from vaccel_rpc.pool.discovery import MAX_RECORDS, endpoints
from vaccel_rpc.pool.targets import MAX_TARGETS, AgentEndpoint, Target, parse_targets, show


def test_a_list_keeps_its_order_and_what_is_preferred() -> None:
    """Spaces around an address do not count, and the text can be shown again."""
    targets = parse_targets("tcp://agent:8888;prefer, unix:///run/a.sock,grpc://[::1]:9")
    assert targets == (
        Target(parse("tcp://agent:8888"), preferred=True), Target(parse("unix:///run/a.sock")), Target(parse("grpc://[::1]:9")),
    )  # fmt: skip
    assert [target.is_name for target in targets] == [True, False, False]
    assert show(targets) == "tcp://agent:8888;prefer,unix:///run/a.sock,grpc://[::1]:9"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "an address of the list is empty"),
        ("tcp://a:1,", "an address of the list is empty"),
        ("tcp://a:1,b:2", "'b:2' has no scheme"),
        ("tcp://a:1,tcp://a:1;prefer", "tcp://a:1 is given twice"),
        ("tcp://a:1;preferred", "did you mean prefer"),
        ("tcp://a:1;fast", "an address may end with ;prefer"),
        (",".join(f"tcp://a:{port}" for port in range(1, MAX_TARGETS + 2)), f"{MAX_TARGETS} are allowed"),
    ],
)
def test_a_wrong_list_is_told_what_is_wrong(text: str, says: str) -> None:
    """In one line that names the part."""
    with pytest.raises(AddressError, match=r"^[^\n]*$") as raised:
        parse_targets(text)
    assert says in str(raised.value)


def test_the_longest_list_is_taken() -> None:
    """One address less than what is refused."""
    assert len(parse_targets(",".join(f"tcp://a:{port}" for port in range(1, MAX_TARGETS + 1)))) == MAX_TARGETS


def test_a_name_stands_for_all_its_records() -> None:
    """Each address is one endpoint; one that two names lead to is preferred where one of them is."""
    near, far, fixed = parse_targets("tcp://all:1,tcp://near:1;prefer,unix:///run/a.sock")
    answers = {near: ["10.0.0.1", "10.0.0.2", "fd00::3"], far: ["10.0.0.2"]}
    assert endpoints([near, far, fixed], answers) == (
        AgentEndpoint(parse("tcp://10.0.0.2:1"), preferred=True, name="near"),
        AgentEndpoint(parse("tcp://10.0.0.1:1"), name="all"),
        AgentEndpoint(parse("tcp://[fd00::3]:1"), name="all"),
        AgentEndpoint(parse("unix:///run/a.sock")),
    )


def test_the_records_of_a_name_are_bounded() -> None:
    """A name server's answer does not open connections without end."""
    (target,) = parse_targets("tcp://many:1")
    assert len(endpoints([target], {target: [f"10.0.{i // 250}.{i % 250 + 1}" for i in range(500)]})) == MAX_RECORDS
