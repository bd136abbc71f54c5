"""Compares what a server did with a connection's bytes to what the oracle expects."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from benchmarks.httpfuzz import oracle
from benchmarks.httpfuzz.allowances import CLOSING_TRAILER, READINGS, Lenient
from benchmarks.httpfuzz.oracle import Expectation, ExpectedResponse, Tail
from benchmarks.httpfuzz.responses import Garbled, ParsedResponse, read

_ALLOWED_5XX = (HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
#: The statuses that may follow a head alone, before the body.
_BEFORE_THE_BODY = (404, 405, 413, 415, 422)


def judged(data: bytes, expectation: Expectation, received: bytes, *, ended: bool, cut: bool) -> tuple[str, str]:
    """The fault, and the allowance that was used; either may be empty.

    ``cut``: the client ended its side after the bytes.
    """
    fault, used = _by(expectation, received, ended=ended, cut=cut)
    if not fault:
        return "", used
    for lenient in READINGS[1:]:
        lenient_expectation = oracle.read(data, lenient)
        # A client that follows the first expectation may wait for an end that never comes, until the
        # server's time limit.
        ends = (ended, False) if lenient_expectation.tail is Tail.OPEN else (ended,)
        if lenient_expectation != expectation and not all(
            _by(lenient_expectation, received, ended=end, cut=cut)[0] for end in ends
        ):
            return "", _names(lenient)
    return fault, ""


def _by(expectation: Expectation, received: bytes, *, ended: bool, cut: bool) -> tuple[str, str]:
    try:
        parsed = read(received, [expected.method for expected in expectation.responses])
    except Garbled as error:
        return str(error), ""
    return compared(expectation, parsed, ended=ended, cut=cut)


def compared(expectation: Expectation, parsed: Sequence[ParsedResponse], *, ended: bool, cut: bool) -> tuple[str, str]:
    """The same as `judged`, for one expectation and the responses that were parsed by it."""
    for response in parsed:
        if response.status >= 500 and response.status not in _ALLOWED_5XX:
            return f"status {response.status}", ""
    for number, (expected, response) in enumerate(zip(expectation.responses, parsed, strict=False)):
        if not response.complete and response.chunked and expected.refusable and ended and number == len(parsed) - 1:
            return "", f"truncated lines: {expected.refusable}"
        if fault := _unlike(expected, response):
            return f"response {number + 1}: {fault}", ""
        if response.closes and not (expectation.tail is Tail.CLOSED and number == len(expectation.responses) - 1):
            if number < len(parsed) - 1 or not ended:
                return f"response {number + 1} says that the connection ends, and it stays open", ""
            return _early_end(expected, response, number)
    if len(parsed) < len(expectation.responses):
        return _too_few(expectation, parsed, ended=ended, cut=cut)
    return _tail(expectation, parsed[len(expectation.responses) :], ended=ended, cut=cut), ""


def _too_few(expectation: Expectation, parsed: Sequence[ParsedResponse], *, ended: bool, cut: bool) -> tuple[str, str]:
    """Some requests had no response."""
    if ended and parsed and parsed[-1].chunked and expectation.responses[len(parsed) - 1].refusable == CLOSING_TRAILER:
        # The head of an answer that streams is sent before the trailer is read.
        return "", CLOSING_TRAILER
    return "" if cut and ended else f"{len(parsed)} responses to {len(expectation.responses)} requests", ""


def _unlike(expected: ExpectedResponse, response: ParsedResponse) -> str:
    """What shows that a response does not belong to the expected one; empty where it does."""
    if expected.canary and (response.status, response.id) != (200, b"canary"):
        return f"not the canary's: {response.status} {response.id!r}"
    ours = oracle.ID.fullmatch(response.id) is not None
    if (expected.id or ours) and response.id != expected.id and (response.status < 400 or ours):
        return f"to {response.id!r} instead of {expected.id!r}"
    if expected.version == b"1.0" and response.chunked:
        return "chunked to HTTP/1.0"
    return "" if response.complete else "it is incomplete"


def _early_end(expected: ExpectedResponse, response: ParsedResponse, number: int) -> tuple[str, str]:
    """The connection ended after a response, although the request did not close it."""
    if expected.refusable and (response.status >= HTTPStatus.BAD_REQUEST or expected.refusable == CLOSING_TRAILER):
        return "", expected.refusable
    if response.status in _BEFORE_THE_BODY and expected.body:
        return "", "a response that does not wait for the body, and the end"
    return f"response {number + 1}: a valid request is refused or its connection ended: {response.status}", ""


def _tail(expectation: Expectation, parsed: Sequence[ParsedResponse], *, ended: bool, cut: bool) -> str:
    """The fault after the last complete request; empty without one."""
    tail = expectation.tail
    if tail in (Tail.OPEN, Tail.CLOSED):
        if parsed:
            return f"an additional response: {parsed[0].status} {parsed[0].id!r}"
        return (
            "" if ended == (tail is Tail.CLOSED or cut) else "the connection stays open" if not ended else "the connection ended"
        )
    if len(parsed) > 1:
        return f"responded to what follows: {tail.value} ({expectation.reason})"
    if not ended:
        return f"no end within the time limit: {tail.value} ({expectation.reason})"
    if not parsed:
        partial = tail in (Tail.PARTIAL, Tail.WAITING) or cut
        return "" if partial else f"ended without a response: {tail.value} ({expectation.reason})"
    response = parsed[0]
    # A refused head's own id may be returned, and what follows an invalid line may be part of that
    # head.
    own = response.status >= HTTPStatus.BAD_REQUEST and response.closes and response.id in expectation.head
    if response.id.startswith((b"canary", b"hidden-")) and not own:
        return f"responded to {response.id!r}, which follows: {tail.value} ({expectation.reason})"
    if tail in (Tail.REFUSED, Tail.PARTIAL) and not response.status >= 400:
        return f"status {response.status}: {tail.value} ({expectation.reason})"
    return ""


def _names(lenient: Lenient) -> str:
    return ", ".join(f"reads {reading.name}".lower().replace("_", " ") for reading in lenient)
