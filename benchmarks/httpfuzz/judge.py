"""Whether what a server did with a connection's bytes agrees with the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from benchmarks.httpfuzz import oracle
from benchmarks.httpfuzz.allowances import CLOSING_TRAILER, READINGS, Lenient
from benchmarks.httpfuzz.oracle import Expectation, ExpectedResponse, Tail
from benchmarks.httpfuzz.responses import Garbled, ParsedResponse, read

_ALLOWED_5XX = (HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
#: What a head alone may be answered with.
_BEFORE_THE_BODY = (404, 405, 413, 415, 422)


def judged(data: bytes, verdict: Expectation, got: bytes, *, ended: bool, cut: bool) -> tuple[str, str]:
    """What is wrong, and the allowance that was used; either may be empty. ``cut``: the client sent its end behind the bytes."""
    wrong, used = _by(verdict, got, ended=ended, cut=cut)
    if not wrong:
        return "", used
    for lenient in READINGS[1:]:
        other = oracle.read(data, lenient)
        # Whoever waited for the end that the first verdict wants may have waited until the server had enough.
        ends = (ended, False) if other.tail is Tail.OPEN else (ended,)
        if other != verdict and not all(_by(other, got, ended=end, cut=cut)[0] for end in ends):
            return "", _names(lenient)
    return wrong, ""


def _by(verdict: Expectation, got: bytes, *, ended: bool, cut: bool) -> tuple[str, str]:
    try:
        answers = read(got, [want.method for want in verdict.wants])
    except Garbled as error:
        return str(error), ""
    return compared(verdict, answers, ended=ended, cut=cut)


def compared(verdict: Expectation, answers: Sequence[ParsedResponse], *, ended: bool, cut: bool) -> tuple[str, str]:
    """As `judged`, by one verdict and the answers that were read by it."""
    for answer in answers:
        if answer.status >= 500 and answer.status not in _ALLOWED_5XX:
            return f"status {answer.status}", ""
    for number, (want, answer) in enumerate(zip(verdict.wants, answers, strict=False)):
        if not answer.whole and answer.chunked and want.refusable and ended and number == len(answers) - 1:
            return "", f"lines cut off: {want.refusable}"
        if wrong := _unlike(want, answer):
            return f"answer {number + 1}: {wrong}", ""
        if answer.closes and not (verdict.tail is Tail.CLOSED and number == len(verdict.wants) - 1):
            if number < len(answers) - 1 or not ended:
                return f"answer {number + 1} says that the connection ends, and it goes on", ""
            return _early_end(want, answer, number)
    if len(answers) < len(verdict.wants):
        return "" if cut and ended else f"{len(answers)} answers to {len(verdict.wants)} requests", ""
    return _tail(verdict, answers[len(verdict.wants) :], ended=ended, cut=cut), ""


def _unlike(want: ExpectedResponse, answer: ParsedResponse) -> str:
    """What shows that it is not the answer to this request."""
    if want.canary and (answer.status, answer.id) != (200, b"canary"):
        return f"not the canary's: {answer.status} {answer.id!r}"
    ours = oracle.ID.fullmatch(answer.id) is not None
    if (want.id or ours) and answer.id != want.id and (answer.status < 400 or ours):
        return f"to {answer.id!r} instead of {want.id!r}"
    if want.version == b"1.0" and answer.chunked:
        return "chunked to HTTP/1.0"
    return "" if answer.whole else "it is not whole"


def _early_end(want: ExpectedResponse, answer: ParsedResponse, number: int) -> tuple[str, str]:
    """The connection ended behind an answer, though the request did not ask for that."""
    if want.refusable and (answer.status >= HTTPStatus.BAD_REQUEST or want.refusable == CLOSING_TRAILER):
        return "", want.refusable
    if answer.status in _BEFORE_THE_BODY and want.body:
        return "", "an answer that does not wait for the body, and the end"
    return f"answer {number + 1}: a valid request is refused or its connection ended: {answer.status}", ""


def _tail(verdict: Expectation, answers: Sequence[ParsedResponse], *, ended: bool, cut: bool) -> str:
    """What is wrong behind the last whole request."""
    tail = verdict.tail
    if tail in (Tail.OPEN, Tail.CLOSED):
        if answers:
            return f"an answer too many: {answers[0].status} {answers[0].id!r}"
        return "" if ended == (tail is Tail.CLOSED or cut) else "the connection goes on" if not ended else "the connection ended"
    if len(answers) > 1:
        return f"answered what is behind: {tail.value} ({verdict.reason})"
    if not ended:
        return f"no end within the time: {tail.value} ({verdict.reason})"
    if not answers:
        partial = tail in (Tail.PARTIAL, Tail.WAITING) or cut
        return "" if partial else f"ended without an answer: {tail.value} ({verdict.reason})"
    answer = answers[0]
    # A refused head's own id may come back, and what stands behind a wrong line may be a part of that head.
    own = answer.status >= HTTPStatus.BAD_REQUEST and answer.closes and answer.id in verdict.head
    if answer.id.startswith((b"canary", b"hidden-")) and not own:
        return f"answered {answer.id!r}, which is behind: {tail.value} ({verdict.reason})"
    if tail in (Tail.REFUSED, Tail.PARTIAL) and not answer.status >= 400:
        return f"status {answer.status}: {tail.value} ({verdict.reason})"
    return ""


def _names(lenient: Lenient) -> str:
    return ", ".join(f"reads {one.name}".lower().replace("_", " ") for one in lenient)
