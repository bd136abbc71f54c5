"""What chaos holds against the function: doubled, swapped, wrong, late and lost answers, and codes that no fault explains."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from benchmarks.chaos.clients import ChaosClients, ChaosRequest
from benchmarks.chaos.report import markdown, problems
from benchmarks.chaos.run import ChaosResult, FaultWindow
from benchmarks.chaos.schedules import SCHEDULES, ChaosStep, drawn
from benchmarks.programs import SCHEDULE_NAMES
from tests.support.accepting import accepting

SCORES = {"hate-speech": 0.25, "offensive-language": 0.25, "neither": 0.5}


def answer(name: str, neither: float = 0.5, status: int = 200) -> bytes:
    scores = {**SCORES, "offensive-language": 0.75 - neither, "neither": neither}
    body = json.dumps({"label": "neither", "score": neither, "scores": scores}).encode()
    return b"HTTP/1.1 %d x\r\nX-Request-Id: %s\r\nContent-Length: %d\r\n\r\n%s" % (status, name.encode(), len(body), body)


def late(name: str) -> bytes:
    time.sleep(1.5)
    return answer(name)


def serving(answer_to: Callable[[str], bytes]) -> AbstractContextManager[int]:
    """The port of a server that answers by the request's id; it closes where it has nothing to say."""

    def serve(client: socket.socket) -> None:
        while data := client.recv(65536):
            found = re.search(rb"X-Request-Id: (\S+)", data)
            out = answer_to(found[1].decode() if found else "")
            if not out:
                return
            client.sendall(out)

    return accepting(serve)


@pytest.mark.parametrize(
    ("bad", "wrong"),
    [
        (answer, ""),
        (lambda name: answer(name, 0.6), "wrong answer"),
        (lambda name: answer(name) * 2, "answered twice"),
        (lambda _: answer("another"), "the answer to another request"),
        (lambda _: b"", "lost: the connection was closed within an answer"),
        (lambda name: answer(name)[:-3], "lost: timed out"),
        (late, "later than the deadline"),
    ],
    ids=["right", "wrong", "twice", "swapped", "lost", "half", "late"],
)
def test_what_is_not_right_is_found(bad: Callable[[str], bytes], wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of a bad answer has its words, and a right one has none."""
    monkeypatch.setattr("benchmarks.chaos.clients._LOST_S", 2.0)
    with serving(lambda name: answer(name) if name == "learning" else bad(name)) as port:
        clients = ChaosClients(("127.0.0.1", port), 2, ["a", "b"], limit=0.3)
        clients.learn()
        with clients:
            end = time.monotonic() + 20
            while not clients.done and time.monotonic() < end:
                time.sleep(0.01)
    assert {request.wrong for request in clients.done} == {wrong}


def result(*requests: ChaosRequest, fault: str = "hung", back: float = 20.0) -> ChaosResult:
    return ChaosResult(30, [], [FaultWindow(ChaosStep(fault, 0, 5), 10.0, 15.0, back)], [ChaosRequest(1, 0.1, 200), *requests])


@pytest.mark.parametrize(
    ("ran", "found"),
    [
        (result(ChaosRequest(11, 5, 504)), []),
        (result(ChaosRequest(9, 5, 504)), []),
        (result(ChaosRequest(1, 5, 504)), ["1 x status 504, which no fault then explains"]),
        (result(ChaosRequest(11, 5, 503)), ["1 x status 503, which no fault then explains"]),
        (result(ChaosRequest(11, 5, 504), fault="killed"), ["1 x status 504, which no fault then explains"]),
        (result(ChaosRequest(11, 1, 200, "wrong answer")), ["1 x wrong answer"]),
        (result(back=float("inf")), ["after hung the function never had all agents again"]),
        (ChaosResult(30), ["no request was answered"]),
    ],
)
def test_only_what_a_fault_explains_may_fail(ran: ChaosResult, found: list[str]) -> None:
    """A code counts as a problem unless a fault that was there then documents it; the report has a row for the fault."""
    assert problems(ran) == found
    assert not ran.windows or f"| {ran.windows[0].step.fault}: " in markdown(ran)


def test_growth_is_found() -> None:
    """A process that has more memory or descriptors in the last tenth than in the first is a problem, in a run of a minute."""
    grown = ChaosResult(100, requests=[ChaosRequest(1, 0.1, 200)], sizes={"function": [(50 + i, 20 + i) for i in range(100)]})
    assert problems(grown) == [
        "function: 59 MiB of resident memory in the first tenth, 149 in the last",
        "function: 29 descriptors in the first tenth, 119 in the last",
    ]
    leaking = ChaosResult(100, requests=[ChaosRequest(1, 0.1, 200)], sizes={"function": [(50, 34 + i // 10) for i in range(100)]})
    assert problems(leaking) == ["function: 34 descriptors in the first tenth, 43 in the last"]


def test_a_seed_repeats_its_schedule() -> None:
    """The same seed draws the same steps, another one others; a fault whose need is lacking never comes."""

    def steps(seed: int, lacking: str = "none") -> list[ChaosStep]:
        return [step for step, _ in zip(drawn(seed, 2, lambda need: need != lacking), range(40), strict=False)]

    assert steps(1) == steps(1) != steps(2)
    assert {"name-goes", "hung", "link-cuts"} <= {step.fault for step in steps(1)}
    assert not any(step.fault.startswith("name") for step in steps(1, "name"))
    assert all(step.agent == 1 for step in steps(1) if step.fault.startswith("link"))


def test_every_schedule_can_be_named() -> None:
    """``--schedule`` takes just the schedules that there are."""
    assert set(SCHEDULE_NAMES) == set(SCHEDULES)
