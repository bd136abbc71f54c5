"""Shadows of a running agent: what they agree in is a metric, and nothing of them reaches a client."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.aliasmodels import label, metrics, run, sha, spawned, until, write_aliases, write_says, write_store
from tests.support.clients import client, ids
from tests.support.servers import SpawnAgent

#: Token ids of a short text and of a long one.
SHORT, LONG = ids(101, 2204, 102), ids(101, 2204, 2204, 2204, 2204, 102)


@pytest.mark.parametrize("scheme", ["unix", "grpc"])
def test_a_shadow_is_compared_with_the_answer(spawn_agent: SpawnAgent, tmp_path: Path, scheme: str) -> None:
    """One that gives long texts another label: what agreed, what differed, and by how much."""
    store = write_store(tmp_path / "store")
    write_says(store / "c.pt", 0, long=1, limit=4)
    write_aliases(store / "aliases.json", live={"model": sha(store, "a"), "shadow": {"model": sha(store, "c"), "percent": 100}})
    listen = ["-a", f"unix://{tmp_path}/a.sock"] if scheme == "unix" else ["-a", "grpc://127.0.0.1:0"]
    agent = spawned(spawn_agent, store, *listen)
    calls = client(agent, scheme)
    session = calls.create_session()
    resource = calls.register_path(session, "live")
    a, c = (sha(store, name).removeprefix("sha256:") for name in "ac")
    for text in [SHORT, LONG, SHORT] * 10:
        assert label(calls.start_run(session, resource, text, 1, 20).result()) == 0
    of = f'alias="live",sha256="{c}"'

    def counted() -> dict[str, float]:
        return metrics(agent, "vaccel_shadow_runs_total")

    until(lambda: sum(counted().values()) == 30, agent)
    assert counted() == {
        f'{{alias="live",result="agreed",sha256="{c}"}}': 20,
        f'{{alias="live",result="differed",sha256="{c}"}}': 10,
    }
    buckets = metrics(agent, "vaccel_shadow_score_difference_bucket")
    assert buckets[f'{{alias="live",le="0.0001",sha256="{c}"}}'] == 20
    # Softmax of 4 and two zeros: 0.9647 and 0.0177.
    assert metrics(agent, "vaccel_shadow_score_difference_sum")[f"{{{of}}}"] == pytest.approx(10 * 0.947, abs=0.01)
    assert set(metrics(agent, "vaccel_alias_runs_total")) == {f'{{alias="live",result="ok",sha256="{a}"}}'}
    calls.close()


def test_what_a_shadow_does_wrong_reaches_nobody(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Its file is gone before it is loaded: every answer is right, and the failures are counted."""
    store = write_store(tmp_path / "store")
    write_aliases(store / "aliases.json", live={"model": sha(store, "a"), "shadow": {"model": sha(store, "b"), "percent": 100}})
    agent = spawned(spawn_agent, store)
    (store / "b.pt").unlink()
    calls = client(agent)
    session = calls.create_session()
    resource = calls.register_path(session, "live")
    for _ in range(20):
        assert label(run(calls, session, resource)) == 0
    failed = f'{{alias="live",result="failed",sha256="{sha(store, "b").removeprefix("sha256:")}"}}'
    until(lambda: metrics(agent, "vaccel_shadow_runs_total") == {failed: 20}, agent)
    assert agent.text.count("A shadow run of b") == 1
    calls.close()
