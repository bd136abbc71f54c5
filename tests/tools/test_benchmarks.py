"""The benchmarks' arithmetic and reports, on small made-up numbers; nothing is timed."""

from __future__ import annotations

import json
import math
import os
import socket
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import plots, texts, torch_alone
from benchmarks.config import EXTRA, PARTS, SERVER_NAMES
from benchmarks.generator import Generator, TimedResponse
from benchmarks.load import Outcome
from benchmarks.markdown import shown, table
from benchmarks.parts import MEASURES
from benchmarks.parts.agents import shares
from benchmarks.parts.openloop import recovered
from benchmarks.peers.environments import PEERS
from benchmarks.report import ReportError, fill, filled, tables, write
from benchmarks.results import Results, read
from benchmarks.schedule import Segment, times
from benchmarks.servers.starts import SERVERS
from benchmarks.tables import TABLES
from loadkit.processes import ended, spawn
from loadkit.stats import Spread, percentile
from loadkit.usage import cpu_seconds, memory_mib, tree
from tests.support.paths import ROOT

MACHINE = {"cpu": "a CPU", "cores": "2", "torch": "2.13.0", "commit": "abc1234"}


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
    """Nearest rank: a value that was measured."""
    assert percentile(values, part) == expected


def test_no_values_have_no_percentile() -> None:
    """NaN, which every table leaves blank."""
    assert math.isnan(percentile([], 0.5))
    assert shown([math.nan]) == ""


def test_spread() -> None:
    """Median, least, most."""
    assert Spread.of([3, 1, 2]) == Spread(2, 1, 3)
    assert Spread.of([2, 4]).over(2) == Spread(1.5, 1, 2)
    assert shown([3, 1, 2], 0) == "2 (1-3)"
    assert shown([1234.5]) == "1,234.5"


def test_a_constant_schedule() -> None:
    """Segments follow each other."""
    assert times([Segment(2, 2), Segment(4, 0.5)], "constant") == [0, 0.5, 1, 1.5, 2, 2.25]


def test_a_poisson_schedule() -> None:
    """The same for a seed, in order, within its segments, at its rate on average."""
    found = times([Segment(100, 20), Segment(1, 10)], "poisson", 7)
    assert found == times([Segment(100, 20), Segment(1, 10)], "poisson", 7) == sorted(found)
    assert found[-1] < 30
    assert 1800 < sum(at < 20 for at in found) < 2200


def test_latency_counts_from_the_intended_time() -> None:
    """A stall of a second is paid for by the requests that should have been sent in it, though each was then answered at once."""
    stalled = [
        TimedResponse(0.0, 0.0, 1.0, 200, 0),
        TimedResponse(0.25, 1.0, 1.01, 200, 0),
        TimedResponse(0.5, 1.01, 1.02, 200, 0),
    ]
    outcome = Outcome(stalled, {}, 0, 1, open_loop=True)
    assert [round(one.latency, 2) for one in stalled] == [1.0, 0.76, 0.52]
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
    found = outcome.summary(1, 3)
    assert (found["rate"], found["refused"], found["failed"]) == (1.0, 2, 2)
    assert found["refused_p99_ms"] == pytest.approx(300)
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
    found = [len(row) for row in torch_alone.tokens(texts.generated(2000))]
    assert found == texts.tweet_lengths(2000)
    assert 37 < sum(found) / len(found) < 41
    assert (max(found), min(found)) == (128, 4)
    assert 0.001 < sum(length > 100 for length in found) / len(found) < 0.05


def test_texts_of_a_file(tmp_path: Path) -> None:
    """Lines, the empty ones left out, as many as are wanted."""
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
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        with client:
            while client.recv(65536):
                status = statuses.pop(0) if statuses else 200
                if status == 1:
                    return
                client.sendall(b"HTTP/1.1 %d x\r\ncontent-length: 7\r\n\r\n" % status)
                client.sendall(b'"label"')

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1], statuses
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_the_open_loop_sends_each_once(server: tuple[int, list[int]]) -> None:
    """At its intended time or later; refusals are answers, a closed connection is a failure and is replaced."""
    port, statuses = server
    statuses += [503, 1]
    generator = Generator([port], [(b"x", 0), (b"y", 1)], b'"label"', 2)
    generator.open([0.0, 0.01, 0.02, 0.03])
    assert sorted(one.status for one in generator.answers) == [0, 200, 200, 503]
    assert sorted(one.intended for one in generator.answers) == [0.0, 0.01, 0.02, 0.03]
    assert all(one.intended <= one.sent <= one.done for one in generator.answers)


def test_the_closed_loop_sends_when_it_was_answered(server: tuple[int, list[int]]) -> None:
    """One client never has two requests under way, and a wrong answer is a failure."""
    port, _ = server
    generator = Generator([port], [(b"x", 0)], b'"label"', 1)
    generator.closed(0.05)
    assert generator.answers
    assert {one.status for one in generator.answers} == {200}
    assert all(a.done <= b.sent for a, b in zip(generator.answers, generator.answers[1:], strict=False))
    wrong = Generator([port], [(b"x", 0)], b'"other"', 1)
    wrong.closed(0.01)
    assert {one.status for one in wrong.answers} == {0}


def test_processes_are_counted() -> None:
    """This one's CPU time and memory."""
    assert os.getpid() in tree(os.getpid())
    assert cpu_seconds(os.getpid()) > 0
    memory = memory_mib(os.getpid())
    assert memory["rss"] >= memory["pss"] > 0


def test_nothing_is_left_behind() -> None:
    """What a server started ends with it, even if the server does not see to it."""
    program = "import subprocess, sys, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    with ended(spawn([sys.executable, "-c", program], {})) as process:
        while len(found := tree(process.pid)) < 2:
            assert process.poll() is None
    assert process.returncode
    while is_running(found[1]):
        pass


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_shares_of_the_cores() -> None:
    """All, a part each, or one that several share."""
    assert shares(1, [0, 1]) == [[0, 1]]
    assert shares(2, [0, 1]) == [[0], [1]]
    assert shares(4, [0, 1]) == [[0], [1], [0], [1]]
    assert shares(2, [0, 1, 2, 3]) == [[0, 1], [2, 3]]


def load(target: str, clients: int, rate: float, repeat: int = 0, kind: str = "single") -> dict[str, Any]:
    numbers = {"rate": rate, "p50_ms": 1000 * clients / rate, "p99_ms": 2000 * clients / rate, "refused": 0, "failed": 0}
    more = {"short_p99_ms": 300.0, "long_p99_ms": 500.0} if kind == "mixed" else {}
    cost = {"cpu_ms": {"agent": 9.0, "load": 0.1}, "memory": {"agent": {"rss": 300.0, "pss": 250.0}}, "others": 0.05}
    return {
        "target": target,
        "about": "workers 2" if "mosec" in target else "",
        "load": kind,
        "clients": clients,
        "repeat": repeat,
        **numbers,
        **more,
        **cost,
    }


@pytest.fixture
def results() -> Results:
    """Every part, small."""
    alone = {"load": "alone", "largest": {"rows": 4, "length": 40, "ms": 20.0}, "p50_ms": 10.0}
    memory = {"rss": 50.0, "pss": 40.0}
    throughput = [
        {"target": "torch, batch 1", "rate": 100.0, **alone},
        {"target": "torch, sorted", "rate": 200.0, **alone},
        *(
            load("function, unix", clients, rate + repeat, repeat)
            for clients, rate in ((1, 80), (8, 150), (32, 180))
            for repeat in range(3)
        ),
        load("function, unix", 32, 120, kind="mixed"),
        load("function, unix", 8, 12, kind="several"),
        *(load("mosec 0.9.8", clients, rate) for clients, rate in ((1, 45), (8, 80), (32, 70))),
    ]
    steady = {"load": "70% of capacity", "kind": "steady", "offered": 120.0, "rate": 119.0, "p50_ms": 20.0, "p99_ms": 80.0}
    common = {"max_ms": 90.0, "refused": 0, "refused_p99_ms": math.nan, "failed": 0, "capacity": 180.0}
    overload = {
        **steady,
        **common,
        "load": "overload, 150%",
        "kind": "overload",
        "refused": 9,
        "refused_p99_ms": 5.0,
        "recovery_s": 0.5,
    }
    rule = {"p50_ms": 20.0, "p99_ms": 90.0, "worst_wait_ms": 80.0, "rate": 170.0}
    made: dict[str, list[dict[str, Any]]] = {
        "throughput": throughput,
        "openloop": [{**steady, **common}, overload],
        "start": [
            {"what": "function", "seconds": 0.24, "phases": {"interpreter": 0.06, "imports": 0.1}, "memory": memory},
            {"what": "hello", "seconds": 0.12, "memory": memory},
            {"what": "torch", "seconds": 1.2},
        ],
        "request": [
            {"what": "whole", "us": 600.0},
            {"what": "part", "part": "tokenizer", "us": 60.0},
            {"what": "beside", "part": "a line in the log", "us": 30.0},
            {"json": "json", "loads": 2.0, "dumps": 5.0},
        ],
        "hop": [{"way": "ttrpc, unix", "size": size, "median_ms": 0.2, "gb_s": 1.5} for size in ("1 int", "64 kB", "16 MiB")],
        "sessions": [{"sessions": n, "connections": n, "median_ms": 0.2, "p99_ms": 1.0, "memory": memory} for n in (0, 1000)],
        "models": [{"models": 1, "limit": 16, "median_ms": 0.2, "p99_ms": 1.0, "memory": memory}],
        "agents": [{"agents": 1, "cores": 2.0, "rate": 170.0, "p50_ms": 180.0, "p99_ms": 400.0, "memory": memory}],
        "rules": [
            {"cost": {"a": 0.003, "b": 0.0, "c": 0.0002, "d": 1e-7, "alone": 0.6, "error": 0.02}, "workers": 2},
            {"load": "busy", "rule": "shipped", **rule},
        ],
        "tune": [{"peer": "mosec", "settings": "workers 1", "clients": clients, "rate": 70.0} for clients in (1, 8, 32)],
    }
    found = Results({"count": 600, "from": "made", "mean": 39.0, "p50": 35, "p99": 110, "most": 128})
    for name, records in made.items():
        found.add(name, records, MACHINE, quick=True)
    return found


def test_the_results_survive_their_file(results: Results, tmp_path: Path) -> None:
    """Written and read; a part that is measured again takes the old one's place, the others stay."""
    results.write(tmp_path / "bench/results.json")
    again = read(tmp_path / "bench/results.json")
    again.add("hop", [], MACHINE, quick=False)
    assert again.records("hop") == []
    assert again.records("agents") == results.records("agents")
    assert read(tmp_path / "none.json") == Results()
    (tmp_path / "old.json").write_text('{"format": 0}')
    with pytest.raises(ValueError, match="measure again"):
        read(tmp_path / "old.json")


def test_every_table_is_made(results: Results) -> None:
    """Of numbers, with no NaN in it, and as many cells in every row as in its head."""
    made = tables(results)
    assert set(made) == {"setup", *TABLES}
    for text in made.values():
        assert "nan" not in text
        for block in text.split("\n\n"):
            assert len({line.count("|") for line in block.splitlines() if line.startswith("|")}) <= 1, block
    assert "| function, unix | 81 (80-82) | 151 (150-152) | 181 (180-182) | 0.91 |" in made["throughput"]
    assert "| 32 clients, of the best peer's rate | 2.59 | 2 |" in made["goals"]
    assert "| mixed load, 32 clients: short texts' p99 over the largest batch's time, 20 ms | 15.00 | 3 |" in made["goals"]
    assert made["throughput"].endswith("\n\nmosec 0.9.8: workers 2.")
    assert made["goals"].endswith("\n\nMeanwhile everything else on the machine used 0.05 cores.")
    assert "128 clients" not in made["goals"], "what was not measured is not claimed"


def test_a_busy_machine_is_told(results: Results) -> None:
    """Figures made beside other work are called a sketch."""
    for record in results.records("throughput"):
        record["others"] = 0.5
    assert "the machine was not quiet" in tables(results)["goals"]


def test_a_page_is_filled(results: Results, tmp_path: Path) -> None:
    """Between its markers, twice with the same result; what was not measured keeps what it says."""
    page = tmp_path / "performance.md"
    page.write_text("# A\n\n<!-- bench: hop -->\nold\n<!-- end -->\n\ntext\n\n<!-- bench: start -->\n<!-- end -->\n")
    fill(results, page)
    first = page.read_text()
    assert "old" not in first
    assert first.count("| ttrpc, unix |") == 1
    assert "\n\ntext\n\n" in first
    fill(results, page)
    assert page.read_text() == first
    del results.parts["hop"]
    fill(results, page)
    assert page.read_text() == first
    assert (tmp_path / "performance/start.svg").exists()


def test_an_unknown_marker_is_refused(results: Results) -> None:
    """It says which there are."""
    with pytest.raises(ReportError, match="'hopp'; the known ones are agents"):
        filled("<!-- bench: hopp -->\n<!-- end -->", tables(results))


def test_the_page_has_every_marker() -> None:
    """docs/performance.md shows all that is measured, and every plot."""
    text = (ROOT / "docs/performance.md").read_text()
    for name in TABLES:
        assert name in EXTRA or f"<!-- bench: {name} -->" in text
    for name in ("throughput", "latency", "openloop", "start", "hop"):
        assert f"(performance/{name}.svg)" in text


def test_plots_are_xml(results: Results, tmp_path: Path) -> None:
    """Every figure parses, and names what it shows."""
    write(results, tmp_path)
    found = {path.stem: ET.parse(path) for path in tmp_path.glob("*.svg")}
    assert set(found) == {"throughput", "latency", "openloop", "start", "hop"}
    assert "mosec 0.9.8" in "".join(found["throughput"].getroot().itertext())
    assert (tmp_path / "results.md").read_text().count("\n## ") == len(TABLES)


def test_names_in_plots_are_escaped() -> None:
    """A name may hold what XML does not."""
    ET.fromstring(plots.bars("a < b & c", "ms", {"<x>": {"a": 1.0}}))
    ET.fromstring(plots.lines("<", "x", "y", {"&": [(1, 2.0), (32, 3.0)]}, {"<": 1.0}))


def test_a_table() -> None:
    """As Markdown wants it."""
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_the_parts_that_help_names_are_those_there_are() -> None:
    """Their names stand in the help, which imports none of them."""
    assert tuple(MEASURES) == PARTS
    assert tuple(SERVERS) == SERVER_NAMES
    assert set(EXTRA) < set(PARTS)


def test_the_peers_have_workers() -> None:
    """A module for each, by its name."""
    for peer in PEERS:
        assert (ROOT / f"benchmarks/peers/{peer.name}_worker.py").exists()
        assert set(peer.settings) == {"workers", "threads", "batch", "wait_ms"}
