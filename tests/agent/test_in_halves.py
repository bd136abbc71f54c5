"""A model runs in half precision where that was chosen, its engine offers it, and it is right and quicker."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from functools import partial
from pathlib import Path

import pytest
import requests

from agent.config import Precision
from agent.store.folder import StoreFolder
from agent.store.model import Form
from agent.store.models import Store
from agent.store.room import Room
from agent.store.variants import choose
from tests.support import halfplugin
from tests.support.clients import client
from tests.support.halfplugin import write
from tests.support.servers import SpawnAgent
from vaccel_rpc.client import Variant
from vaccel_rpc.extensions import TIMINGS
from vaccel_rpc.tensors import from_values, to_values

#: In float32, and clearly quicker.
OWN: dict[str, object] = {"ms": 2.0}
QUICK: dict[str, object] = {"ms": 0.5}


def run(folder: Path, precision: Precision) -> Form:
    """What runs for ``model.half`` in the folder."""
    engine = halfplugin.open("cpu", 1)
    store = Store(
        StoreFolder(folder, lambda: (".half",)), "deny", engine.load, lambda *_: None, room=Room(models=4),
        choose=lambda digest, variants: choose(digest, variants, precision, lambda *_: False),
        halves=lambda _: {half: partial(engine.load_in, precision=half) for half in halfplugin.HALVES},
    )  # fmt: skip

    async def form() -> Form:
        return await store.form(await store.by_paths(["model"]))

    try:
        return asyncio.run(form())
    finally:
        store.close()


@pytest.mark.parametrize(
    ("halves", "runs", "says"),
    [
        ({"fp16": QUICK, "bf16": QUICK}, "fp16", "runs in fp16: it takes 0."),
        ({"fp16": {**QUICK, "off": 0.001}}, "fp16", "scores differ by 0.00025 at most, 35 of 35 examples have the same label"),
        ({"fp16": {**QUICK, "off": -0.11}}, "fp16", "30 of 35 examples have the same label"),
        (
            {"fp16": {**QUICK, "off": 0.5}, "bf16": QUICK},
            "bf16",
            "does not run in fp16: its scores differ by 0.12, more than 0.05",
        ),
        ({"fp16": {**QUICK, "off": float("nan")}}, "exact", "does not run in fp16: its answers are not finite numbers"),
        ({"fp16": {**QUICK, "off": float("inf")}, "bf16": QUICK}, "bf16", "its answers are not finite numbers"),
        ({"fp16": {"ms": 4.0}}, "exact", "does not run in fp16: it takes "),
        ({}, "exact", "does not run in bf16: it has nothing to compute so"),
        ({"float32": {**OWN, "rows": False}, "fp16": {**QUICK, "rows": False}}, "exact", "its outputs are not rows of scores"),
    ],
)
def test_a_half_runs_if_it_is_right_and_quicker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, halves: dict[str, dict[str, object]], runs: str, says: str
) -> None:
    """The first of those that are; the log says what was found of each."""
    write(tmp_path / "model.half", **{"float32": OWN, **halves})
    with caplog.at_level(logging.INFO, "agent.store"):
        form = run(tmp_path, "fast")
    assert form.precision == runs
    assert says in caplog.text
    assert (f": in {runs}" in caplog.messages[-1]) == (runs != "exact")


@pytest.mark.parametrize("precision", ["exact", "auto", "registered"])
def test_only_fast_computes_in_halves(tmp_path: Path, precision: Precision) -> None:
    """Nothing states on how many texts a half would agree, which auto asks for."""
    write(tmp_path / "model.half", float32=OWN, fp16=QUICK)
    assert run(tmp_path, precision).precision == "exact"


def test_answers_metrics_and_log_say_it(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """As they do of a variant; a client that sends the bytes gets them as they are."""
    path = write(tmp_path / "model.half", float32=OWN, fp16={**QUICK, "off": 0.125})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    options = ("--models", str(tmp_path), "--plugin", halfplugin.__name__, "--precision", "fast")
    agent = spawn_agent(*options, "--preload", "all", "--metrics-address", "127.0.0.1:0")
    assert f"Loaded model model (sha256:{digest[:12]}) in " in agent.text
    calls = client(agent)
    session = calls.create_session()
    ran = calls.start_run(
        session, calls.register_path(session, "model"), [from_values("int64", [1, 2], [1, 1])], 1, 20, {TIMINGS: "1"}
    ).result()
    assert ran.variant == Variant("fp16", digest)
    assert to_values(ran.outputs[0]) == pytest.approx([0.725, 0])
    text = requests.get(agent.wait_for(r"Metrics and health on '(http://[^']+)'")[1] + "/metrics", timeout=5).text
    assert f'vaccel_model_loaded{{file="model.half",model="model",precision="fp16",sha256="{digest}"}} 1.0' in text
