"""Which trace contexts are valid, by W3C; a table of both kinds, and what goes on to an agent of any of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaccel_common import tracing
from vaccel_common.tracecontext import add, joined

TRACE, PARENT = "5b8aa5a2d2c872e8321cf37308d69df2", "051581bf3cb55c13"
GOOD = f"00-{TRACE}-{PARENT}-01"
FUTURE = f"cc-{TRACE}-{PARENT}-01"

VALID = [
    GOOD,
    f"00-{TRACE}-{PARENT}-00",
    f"00-{TRACE}-{PARENT}-03",
    f"00-{TRACE}-{PARENT}-ff",
    f"00-{'0' * 31}1-{'0' * 15}1-01",
    FUTURE,
    f"{FUTURE}-",
    f"{FUTURE}-what=the.future will be".replace(" ", "_"),
    f"fe-{TRACE}-{PARENT}-09-{'a' * 100}",
]

INVALID = [
    "",
    "00",
    GOOD[:-1],
    f"{GOOD}0",
    f"{GOOD}-",
    f"{GOOD}-01",
    f"{GOOD}.",
    f"{GOOD}\n",
    f"{FUTURE}0",
    f"{FUTURE}.01",
    f"{FUTURE}-a b",
    f"{FUTURE}-caf\xe9",
    f"{FUTURE}-{'a' * 500}",
    f"ff-{TRACE}-{PARENT}-01",
    f"FF-{TRACE}-{PARENT}-01",
    f"0-{TRACE}-{PARENT}-01",
    f"000-{TRACE}-{PARENT}-01",
    f"0x-{TRACE}-{PARENT}-01",
    f".0-{TRACE}-{PARENT}-01",
    f"00-{TRACE.upper()}-{PARENT}-01",
    f"00-{TRACE}-{PARENT.upper()}-01",
    f"00-{TRACE}-{PARENT}-0A",
    f"CC-{TRACE}-{PARENT}-01",
    f"00-{'0' * 32}-{PARENT}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE[1:]}-{PARENT}-01",
    f"00-{TRACE}0-{PARENT}-01",
    f"00-{TRACE}-{PARENT[1:]}-01",
    f"00-{TRACE}-{PARENT}0-01",
    f"00-{TRACE}-{PARENT}-1",
    f"00-{TRACE}-{PARENT}",
    f"00-{TRACE[:-1]}g-{PARENT}-01",
    f"00-{TRACE[:-1]}\u0661-{PARENT}-01",
    f"00-{TRACE}_{PARENT}-01",
    f"00{TRACE}{PARENT}01",
    f"{GOOD},{GOOD}",
    f"{FUTURE},{FUTURE}",
    f"{FUTURE}-a,{FUTURE}-b",
]

#: tracestate -> what is passed on beside a valid traceparent; empty: dropped.
STATES = [
    ("rojo=00f067aa0ba902b7", "rojo=00f067aa0ba902b7"),
    ("congo=t61rcWkgMzE,rojo=1", "congo=t61rcWkgMzE,rojo=1"),
    ("congo=1 , rojo=2", "congo=1,rojo=2"),
    ("congo=1,\trojo=2", "congo=1,rojo=2"),
    ("congo=1,,rojo=2,", "congo=1,rojo=2"),
    ("tenant@vendor=a b!", "tenant@vendor=a b!"),
    ("0tenant@v=1,2=3", "0tenant@v=1,2=3"),
    ("a_-*/z=1", "a_-*/z=1"),
    (f"a={'v' * 256}", f"a={'v' * 256}"),
    (f"{'k' * 256}=1", f"{'k' * 256}=1"),
    (",".join(f"k{i}=1" for i in range(32)), ",".join(f"k{i}=1" for i in range(32))),
    ("", ""),
    (" ", ""),
    (",", ""),
    ("a", ""),
    ("=1", ""),
    ("a=", ""),
    ("a=1=2", ""),
    ("A=1", ""),
    ("a b=1", ""),
    ("_a=1", ""),
    ("a=1,a=2", ""),
    ("a=1;b=2,c", ""),
    ("a=caf\xe9", ""),
    ("a=\x7f", ""),
    ("a=1\x00", ""),
    ("a=\ud800", ""),
    (f"a={'v' * 257}", ""),
    (f"{'k' * 257}=1", ""),
    (",".join(f"k{i}=1" for i in range(33)), ""),
    (",".join(f"k{i}={'v' * 100}" for i in range(6)), ""),
]


@pytest.mark.parametrize("traceparent", VALID)
def test_a_valid_traceparent_goes_on_with_its_state(traceparent: str) -> None:
    """Level 1 and 2, and versions to come, as they are."""
    expected = {"traceparent": traceparent, "tracestate": "rojo=1"}
    assert tracing.context(traceparent, "rojo=1") == expected
    assert tracing.context(f" \t{traceparent} ", "rojo=1") == expected
    assert tracing.context(traceparent, None) == {"traceparent": traceparent}


@pytest.mark.parametrize("traceparent", [None, *INVALID])
def test_an_invalid_traceparent_is_dropped_with_its_state(traceparent: str | None) -> None:
    """Nothing of an invalid trace context is passed on."""
    assert tracing.context(traceparent, "rojo=1") == {}


@pytest.mark.parametrize(("tracestate", "expected"), STATES, ids=[ascii(text[:40]) for text, _ in STATES])
def test_an_invalid_tracestate_is_dropped_alone(tracestate: str, expected: str) -> None:
    """The traceparent stays; several headers' members are one list, in order."""
    assert tracing.context(GOOD, tracestate) == {"traceparent": GOOD, **({"tracestate": expected} if expected else {})}


@given(st.text(), st.text())
def test_whatever_goes_on_is_short_ascii(traceparent: str, tracestate: str) -> None:
    """Any text instead of either gives at most what gRPC's metadata takes."""
    for state in (tracestate, f"a={tracestate}"):
        for parent in (traceparent, FUTURE + traceparent, GOOD):
            for value in tracing.context(parent, state).values():
                assert re.fullmatch(r"[ -~]{1,512}", value)


def test_values_of_one_name_are_joined() -> None:
    """As HTTP joins headers: a list goes on, and two traceparents are none."""
    pairs = [("tracestate", "a=1"), ("traceparent", FUTURE), ("tracestate", "b=2")]
    assert tracing.received(joined(pairs).get) == {"traceparent": FUTURE, "tracestate": "a=1,b=2"}
    assert tracing.received(joined([*pairs, ("traceparent", FUTURE)]).get) == {}


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("baggage", "tea=green", True),
        ("x-b3-traceid", "1", True),
        ("baggage", "x" * 4096, True),
        ("baggage", "x" * 4097, False),
        ("baggage", "caf\xe9", False),
        ("baggage", "a\tb", False),
        ("baggage", "a\nb", False),
        ("Baggage", "1", False),
        ("bag gage", "1", False),
        ("bag\xe9", "1", False),
        ("", "1", False),
        ("grpc-timeout", "1", False),
        ("tea-bin", "1", False),
    ],
)
def test_metadata_has_only_what_grpc_takes(name: str, value: str, fits: bool) -> None:
    """A field that would fail the call is left out."""
    metadata: dict[str, str] = {}
    add(metadata, name, value)
    assert metadata == ({name: value} if fits else {})


def test_metadata_is_bounded_as_a_whole() -> None:
    """Metadata stays within its limit, however many fields a propagator writes."""
    metadata: dict[str, str] = {}
    for i in range(100):
        add(metadata, f"uberctx-{i}", "x" * 100)
    assert len(metadata) == 40
