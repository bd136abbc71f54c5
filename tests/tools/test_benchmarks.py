"""The benchmarks' arithmetic and reports, on small made-up numbers; nothing is timed."""

from __future__ import annotations

import itertools
import json
import math
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from benchmarks import texts, torch_alone
from benchmarks.candidates import chosen
from benchmarks.config import EXTRA, PARTS
from benchmarks.generator import Generator, TimedResponse
from benchmarks.load import Outcome
from benchmarks.markdown import shown
from benchmarks.parts import MEASURES
from benchmarks.parts.agents import shares
from benchmarks.parts.openloop import recovered
from benchmarks.peers.environments import PEERS
from benchmarks.peers.settings import FASTEST, FORMS, tried
from benchmarks.peers.settings import SERVERS as SERVERS_COMPARED
from benchmarks.plan import QUICK, Run
from benchmarks.programs import SERVER_NAMES
from benchmarks.schedule import Segment, times
from benchmarks.servers.starts import SERVERS
from loadkit.stats import Spread, percentile
from tests.support.accepting import accepting
from tests.support.paths import ROOT


@pytest.mark.parametrize(
    ("values", "part", "expected"),
    [
        ([5], 0.5, 5),
        ([1, 2, 3, 4], 0.5, 2),
        ([3, 1, 2], 0.5, 2),
        (range(1, 101), 0.99, 99),
        (range(1, 11), 0.99, 10),
        ([1, 2], 1, 2),
    ],
)
def test_percentile(values: Any, part: float, expected: float) -> None:
    """A percentile is the nearest rank: a value that was measured."""
    assert percentile(values, part) == expected


def test_no_values_have_no_percentile() -> None:
    """Without values it is NaN, which every table leaves blank."""
    assert math.isnan(percentile([], 0.5))
    assert shown([math.nan]) == ""


def test_spread() -> None:
    """A spread has the median, the least and the greatest value."""
    assert Spread.of([3, 1, 2]) == Spread(2, 1, 3)
    assert Spread.of([2, 4]).over(2) == Spread(1.5, 1, 2)
    assert shown([3, 1, 2], 0) == "2 (1-3)"
    assert shown([1234.5]) == "1,234.5"


def test_a_constant_schedule() -> None:
    """Requests are evenly spaced, and segments follow each other."""
    assert times([Segment(2, 2), Segment(4, 0.5)], "constant") == [0, 0.5, 1, 1.5, 2, 2.25]


def test_a_poisson_schedule() -> None:
    """The same for a seed, in order, within its segments, at its rate on average."""
    arrivals = times([Segment(100, 20), Segment(1, 10)], "poisson", 7)
    assert arrivals == times([Segment(100, 20), Segment(1, 10)], "poisson", 7) == sorted(arrivals)
    assert arrivals[-1] < 30
    assert 1800 < sum(at < 20 for at in arrivals) < 2200


def test_latency_counts_from_the_intended_time() -> None:
    """A stall of a second is paid for by the requests that should have been sent in it, though each was then answered at once."""
    stalled = [
        TimedResponse(0.0, 0.0, 1.0, 200, 0),
        TimedResponse(0.25, 1.0, 1.01, 200, 0),
        TimedResponse(0.5, 1.01, 1.02, 200, 0),
    ]
    outcome = Outcome(stalled, {}, 0, 1, open_loop=True)
    assert [round(answer.latency, 2) for answer in stalled] == [1.0, 0.76, 0.52]
    assert outcome.summary(0, 1)["p50_ms"] == pytest.approx(760)
    assert outcome.summary(0, 1)["rate"] == 3, "an open loop's answers count when they should have been sent, however late"


def test_summary_by_status_and_kind() -> None:
    """Refused and failed are no part of rate and latency; a closed loop counts what was answered within the time."""
    answers = [
        TimedResponse(0, 0, 0.1, 200, 0),
        TimedResponse(1, 1, 1.1, 200, 0),
        TimedResponse(1, 1, 1.5, 200, 1),
        TimedResponse(1, 1, 1.2, 503, 0),
        TimedResponse(1, 1, 1.3, 429, 0),
        TimedResponse(1, 1, 1.4, 0, 0),
        TimedResponse(1, 1, 1.4, 500, 0),
        TimedResponse(1, 1, 3.5, 200, 0),
    ]
    outcome = Outcome(answers, {"agent": 0.8, "load": 0.08}, 0, 3)
    summary = outcome.summary(1, 3)
    assert (summary["rate"], summary["refused"], summary["failed"]) == (1.0, 2, 2)
    assert summary["refused_p99_ms"] == pytest.approx(300)
    assert outcome.summary(1, 3, kind=1)["p99_ms"] == pytest.approx(500)
    assert outcome.cpu_ms() == pytest.approx({"agent": 100, "load": 10})


def test_recovery_is_the_first_window_that_is_as_before() -> None:
    """One late answer in a good window is none; nothing after is None."""
    late = [(float(i), 100.0) for i in range(5)]
    good = [(5.0 + i, 1.0) for i in range(20)]
    assert recovered(late + good, 2) == 0.0 + len(late) - 5
    assert recovered([(float(i), 100.0) for i in range(20)] + [(20.0 + i, 1.0) for i in range(20)], 2) == 15
    assert recovered(late, 2) is None


def test_own_texts_are_as_long_as_real_ones() -> None:
    """39 tokens on average, a tail to 128, by the shipped tokenizer."""
    lengths = [len(row) for row in torch_alone.tokens(texts.generated(2000))]
    assert lengths == texts.tweet_lengths(2000)
    assert 37 < sum(lengths) / len(lengths) < 41
    assert (max(lengths), min(lengths)) == (128, 4)
    assert 0.001 < sum(length > 100 for length in lengths) / len(lengths) < 0.05


def test_texts_of_a_file(tmp_path: Path) -> None:
    """As many lines are read as are wanted, without the empty ones."""
    (tmp_path / "texts.txt").write_text("one\n\ntwo\nthree\n")
    assert sorted(texts.file_or_generated(tmp_path / "texts.txt", 10)) == ["one", "three", "two"]
    assert len(texts.file_or_generated(tmp_path / "texts.txt", 2)) == 2


def test_messages() -> None:
    """One in ten is long; several texts share a request; lengths are right."""
    both = texts.mixed(["a"] * 90, 50)
    assert sum(kind for _, kind in both) == 10
    message, kind = texts.single("/classify", [("café", 1)])[0]
    head, body = message.split("\r\n\r\n")
    assert kind == 1
    assert f"Content-Length: {len(body)}" in head
    assert json.loads(body) == {"text": "café"}
    assert len(texts.several("/classify", ["a"] * 40, 16)) == 2


@pytest.fixture
def server() -> Iterator[tuple[int, list[int]]]:
    """Answers each request with the next status of a list (200 when that is empty); 1 closes the connection."""
    statuses: list[int] = []

    def serve(client: socket.socket) -> None:
        while client.recv(65536):
            status = statuses.pop(0) if statuses else 200
            if status == 1:
                return
            client.sendall(b"HTTP/1.1 %d x\r\ncontent-length: 7\r\n\r\n" % status)
            client.sendall(b'"label"')

    with accepting(serve) as port:
        yield port, statuses


def test_the_open_loop_sends_each_once(server: tuple[int, list[int]]) -> None:
    """At its intended time or later; refusals are answers, a closed connection is a failure and is replaced."""
    port, statuses = server
    statuses += [503, 1]
    generator = Generator([port], [(b"x", 0), (b"y", 1)], b'"label"', 2)
    generator.open([0.0, 0.01, 0.02, 0.03])
    assert sorted(answer.status for answer in generator.answers) == [0, 200, 200, 503]
    assert sorted(answer.intended for answer in generator.answers) == [0.0, 0.01, 0.02, 0.03]
    assert all(answer.intended <= answer.sent <= answer.done for answer in generator.answers)


def test_the_closed_loop_sends_when_it_was_answered(server: tuple[int, list[int]]) -> None:
    """One client never has two requests under way, and a wrong answer is a failure."""
    port, _ = server
    generator = Generator([port], [(b"x", 0)], b'"label"', 1)
    generator.closed(0.05)
    assert generator.answers
    assert {answer.status for answer in generator.answers} == {200}
    assert all(a.done <= b.sent for a, b in zip(generator.answers, generator.answers[1:], strict=False))
    wrong = Generator([port], [(b"x", 0)], b'"other"', 1)
    wrong.closed(0.01)
    assert {answer.status for answer in wrong.answers} == {0}


def test_shares_of_the_cores() -> None:
    """Agents get all cores, a part each, or one that several share."""
    assert shares(1, [0, 1]) == [[0, 1]]
    assert shares(2, [0, 1]) == [[0], [1]]
    assert shares(4, [0, 1]) == [[0], [1], [0], [1]]
    assert shares(2, [0, 1, 2, 3]) == [[0, 1], [2, 3]]


def test_the_parts_that_help_names_are_those_there_are() -> None:
    """The help lists their names and imports none of them."""
    assert tuple(MEASURES) == PARTS
    assert tuple(SERVERS) == SERVER_NAMES
    assert set(EXTRA) < set(PARTS)


def test_the_peers_have_workers() -> None:
    """Every server has a worker module of its name, every form is compared, and what is fastest is among what was tried."""
    assert {peer.server for peer in PEERS} == set(SERVERS_COMPARED)
    assert {(peer.server, peer.form) for peer in PEERS} == set(FASTEST) == set(itertools.product(SERVERS_COMPARED, FORMS))
    for (server, form), fastest in FASTEST.items():
        assert (ROOT / f"benchmarks/peers/{server}_worker.py").exists()
        assert set(fastest) <= set(tried(form))


def test_targets_are_chosen_by_name() -> None:
    """Of the function's and the peers', in their order; a name that none has is answered with the names."""
    run = Run(QUICK, [], targets=("unix", "grpc"))
    assert [target.name for target in chosen(run)] == ["function, unix", "function, grpc"]
    named = replace(run, targets=("torch",), variants={"mine": "--threads=1"})
    assert [target.name for target in chosen(named)] == ["mine"], "what --variant names is measured anyway"
    with pytest.raises(click.UsageError, match=r"function, unix; .*mosec 0.9.8 \+ torch; .*for one client"):
        chosen(Run(QUICK, [], peers=True, targets=("mozec",)))


def test_calibration_is_not_measured(tmp_path: Path) -> None:
    """Texts to calibrate int8 forms on are others than the measured ones, in a file and where they are generated."""
    file = tmp_path / "texts.txt"
    file.write_text("\n".join([*map(str, range(50)), *map(str, range(50)), ""]))
    measured = texts.file_or_generated(file, 20)
    beside = texts.others(file, measured)
    assert not set(beside) & set(measured)
    assert len(beside) == len(set(beside)) == 50 - len(set(measured))
    assert not set(texts.others(None, texts.generated(600))) & set(texts.generated(600))
