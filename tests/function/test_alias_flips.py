"""A function with an alias as its model: whatever the alias becomes, no request fails and no answer mixes models."""

from __future__ import annotations

import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.support.aliasmodels import ENTRIES, metrics, sha, spawned, until, write_aliases, write_says, write_store
from tests.support.functions import LABELS, function_of, post, wait_until_ready
from tests.support.loops import ClientLoops
from tests.support.servers import ServerProcess, SpawnAgent

pytestmark = pytest.mark.timeout(300)

TEXTS = [f"text number {i}" + " and more" * (i % 4) for i in range(6)]


class MixedClients(ClientLoops):
    """Thirty-two clients, of which most send several texts at once, 150 ms after the last answer, and check that one model has
    answered all: the one that is named.
    """

    def __init__(self, server: ServerProcess, store: Path) -> None:
        super().__init__(32, self._ask, pause=0.15)
        self._server = server
        self._said = {sha(store, name).removeprefix("sha256:"): LABELS[i] for i, name in enumerate("ab")}
        self.failures: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()

    def _ask(self, number: int) -> None:
        try:
            answer = post(self._server, {"text": TEXTS[0]} if number % 8 == 0 else {"texts": TEXTS})
        except requests.RequestException as error:
            self.failures[str(error)] += 1
            return
        if answer.status_code != 200:
            self.failures[f"{answer.status_code} {answer.text}"] += 1
            return
        body = answer.json()
        labels = {prediction["label"] for prediction in body.get("predictions", [body])}
        right = self._said.get(body["model"]["sha256"])
        if labels != {right}:
            self.failures[f"{labels} of {right}"] += 1
        self.answers[right or ""] += 1


def tokenizer_file(folder: Path) -> Path:
    """A tokenizer file that does not say whose it is."""
    path = folder / "live.tokenizer"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in ENTRIES.items():
            archive.writestr(name, data)
    return path


@contextmanager
def function_with(folder: Path, addresses: list[str], **env: str) -> Iterator[ServerProcess]:
    """A ready function whose model is the alias."""
    with function_of(folder, ",".join(addresses), MODEL="live", TOKENIZER=str(tokenizer_file(folder)), **env) as server:
        wait_until_ready(server)
        yield server


@pytest.mark.parametrize("scheme", ["unix", "grpc"])
def test_an_alias_flips_under_load(spawn_agent: SpawnAgent, tmp_path: Path, scheme: str) -> None:
    """Again and again: every answer is by one model, which it names, and what an alias has left leaves memory."""
    store = write_store(tmp_path / "store")
    for number, name in enumerate("ab"):
        write_says(store / f"{name}.pt", number, mib=50)
    write_aliases(store / "aliases.json", live=sha(store, "a"))
    address = {"unix": f"unix://{tmp_path}/a.sock", "grpc": "grpc://127.0.0.1:0"}[scheme]
    agent = spawned(spawn_agent, store, "-a", address)
    with function_with(tmp_path, [agent.addresses[scheme]]) as server, MixedClients(server, store) as clients:
        for changes in range(2, 8):
            write_aliases(store / "aliases.json", live=sha(store, "ab"[changes % 2 == 0]))
            until(lambda: agent.text.count("Alias live is") == changes, agent)  # noqa: B023 called at once
            time.sleep(0.5)
        until(lambda: metrics(agent, "vaccel_models_loaded") == {"": 1}, agent)
    assert clients.failures == {}
    assert min(clients.answers[label] for label in LABELS[:2]) > 20
    assert agent.text.count("Unloaded model") >= 1


def test_agents_that_do_not_agree_mix_no_answer(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Two agents of one function get a new file at different times, as the volumes of a ConfigMap do. One of them does not have the
    other's model at all; and a canary of half of the requests.
    """
    store = write_store(tmp_path / "store")
    files = [tmp_path / f"aliases{i}.json" for i in range(2)]
    for file in files:
        write_aliases(file, live=sha(store, "a"))
    agents = [spawned(spawn_agent, store, "-a", f"unix://{tmp_path}/{i}.sock", "--aliases", str(files[i])) for i in range(2)]
    with function_with(tmp_path, [agent.addresses["unix"] for agent in agents]) as server, MixedClients(server, store) as clients:
        for name in "ba":
            for file in files:
                write_aliases(file, live=sha(store, name))
                time.sleep(2.5)
        for file in files:
            write_aliases(file, live={"model": sha(store, "a"), "canary": {"model": sha(store, "b"), "percent": 50}})
        time.sleep(3)
    assert clients.failures == {}
    assert min(clients.answers[label] for label in LABELS[:2]) > 20


def test_lines_and_the_inference_protocol_say_which_model_ran(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Each line has the digest, and so have the parameters of an inference response."""
    store = write_store(tmp_path / "store")
    agent = spawned(spawn_agent, store)
    a = sha(store, "a").removeprefix("sha256:")
    with function_with(tmp_path, [agent.addresses["unix"]]) as server:
        lines = post(server, '{"text": "one"}\n{"text": "two"}\n', "application/x-ndjson").text.splitlines()
        tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["one"]}
        inferred = post(server, {"inputs": [tensor]}, path="/v2/models/live/infer").json()
    assert all(f'"sha256":"{a}"' in line for line in lines)
    assert inferred["parameters"] == {"sha256": a}


def test_a_function_with_another_tokenizer_is_refused(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """It says why it has no agent, and answers nothing by a model that it does not fit."""
    store = write_store(tmp_path / "store")
    write_says(store / "a.pt", 0, entries={**ENTRIES, "labels.json": b'["x", "y", "z"]'})
    write_aliases(store / "aliases.json", live=sha(store, "a"))
    agent = spawned(spawn_agent, store)
    environment = {"MODEL": "live", "TOKENIZER": str(tokenizer_file(tmp_path))}
    with function_of(tmp_path, agent.addresses["unix"], **environment, AGENT_WAIT_S="1") as server:
        server.wait_for(
            "no agent: FAILED_PRECONDITION: this client differs from live in labels: it needs the tokenizer file of that model"
        )
        assert post(server, {"text": "one"}).status_code >= 500
