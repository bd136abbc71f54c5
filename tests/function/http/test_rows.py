"""The table of exact bytes against every runtime, each a real process with a socket."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.function.http.before import RED
from tests.function.http.client import Exchange, RawResponse
from tests.function.http.deviations import DEVIATIONS, deviation
from tests.function.http.rows import FRAMING, ROWS
from tests.function.http.table import Row
from tests.support.runtimes import start
from tests.support.servers import ServerProcess

#: Under parliament the function has one route, and no hand in deadlines and streams.
TABLES = {"server": ROWS, "func": ROWS, "parliament": FRAMING}
_AT_ONCE = 32
#: How long a connection is watched that is expected to stay open; longer than READ_TIMEOUT_S.
_OPEN_S = 3.0
#: How long any other row may take; hypercorn closes what it waits for in vain after 5 s.
_LIMIT_S = 7.0


@dataclass(frozen=True)
class Played:
    """A runtime and what was seen of each row."""

    runtime: str
    server: ServerProcess
    exchanges: dict[str, Exchange]


@pytest.fixture(scope="module")
def played(agent: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Played]]:
    """A runtime's whole table, played when it is first asked for, many connections at a time: most rows wait."""
    done: dict[str, Played] = {}

    def played_by(runtime: str) -> Played:
        if runtime not in done:
            done[runtime] = _play(runtime, tmp_path_factory.mktemp(runtime), agent.addresses["unix"])
        return done[runtime]

    yield played_by
    for played in done.values():
        assert played.server.stop(signal.SIGTERM) == 0, played.server.text


def _play(runtime: str, folder: Path, agent: str) -> Played:
    rows = TABLES[runtime]
    server = start(runtime, folder, agent, READ_TIMEOUT_S="2", KEEP_ALIVE_S="4", THREADS=str(4 * _AT_ONCE))
    host, port = server.addresses["http"].removeprefix("http://").split(":")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        exchanges = list(pool.map(lambda row: Exchange(host, int(port)).play(row, _limit(runtime, row)), rows))
    return Played(runtime, server, {row.name: exchange for row, exchange in zip(rows, exchanges, strict=True)})


def _limit(runtime: str, row: Row) -> float:
    other = deviation(runtime, row)
    return _OPEN_S if other and other.outcome.endswith("open") else _LIMIT_S


def _pairs() -> Iterator[object]:
    for runtime, rows in TABLES.items():
        for row in rows:
            yield pytest.param(runtime, row, id=f"{runtime}-{row.name}")


@pytest.mark.parametrize(("runtime", "row"), list(_pairs()))
def test_row(played: Callable[[str], Played], runtime: str, row: Row) -> None:
    """The answers, what may follow on the connection, and what is never answered."""
    seen = played(runtime).exchanges[row.name]
    other = deviation(runtime, row)
    if other:
        assert seen.outcome in other.outcome.split(" or "), f"it did otherwise because {other.why}\n{seen}"
        return
    assert seen.outcome in row.outcome.split(" or "), str(seen)
    assert "hidden" not in [answer.id for answer in seen.answers], "a body was taken for a request"
    assert row.within[0] <= seen.seconds <= row.within[1], str(seen)
    answers = [answer for answer in seen.answers if answer.id != "next"]
    assert not row.contains or row.contains.lower() in answers[-1].text.lower(), str(seen)
    assert not row.lacks or not [answer for answer in answers if row.lacks.lower() in answer.text.lower()], str(seen)
    if runtime == "server":
        _hold_to_our_form(answers[row.to_head :], ended=not seen.outcome.endswith("go"))


def _hold_to_our_form(answers: list[RawResponse], *, ended: bool) -> None:
    """Every error is a problem with one line of reason; one that ends the connection says that it does."""
    for answer in answers:
        if answer.status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            problem = json.loads(answer.body)
            assert problem["status"] == answer.status < 500 or answer.status in (501, 505)
            assert problem["detail"]
            assert problem["detail"].isprintable()
    if ended and answers and answers[-1].status >= 400:
        assert answers[-1].headers.get("connection", "").lower() == "close"


def test_the_table_leaves_nothing_behind(played: Callable[[str], Played]) -> None:
    """After it all no traceback is in the log, no request is left in flight, and a good one is answered."""
    server = played("server").server
    assert "Traceback" not in server.text
    address = server.addresses["http"]
    assert requests.post(address + "/classify", json={"text": "good morning"}, timeout=10).status_code == 200
    end = time.monotonic() + 5
    while "function_requests_in_flight 0.0" not in (metrics := requests.get(address + "/metrics", timeout=10).text):
        assert time.monotonic() < end, metrics
        time.sleep(0.05)


def test_names_are_those_of_rows() -> None:
    """No name is there twice; deviations, and what was red before, name rows; a deviation differs from its row."""
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    red = [name for group in RED.values() for name in group]
    assert len(set(red)) == len(red)
    assert set(red) <= set(names)
    for runtime, others in DEVIATIONS.items():
        rows = {row.name: row for row in TABLES[runtime]}
        assert set(others) <= set(rows)
        for name, other in others.items():
            loose = rows[name].contains or rows[name].within != (0.0, 6.0)
            assert loose or not set(other.outcome.split(" or ")) <= set(rows[name].outcome.split(" or ")), name
