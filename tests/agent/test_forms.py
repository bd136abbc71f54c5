"""The quickest exact form of a model runs, and of several variants of one precision the quickest."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import importlib.util
import json
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import pytest
import requests
import torch

from agent.config import Precision
from agent.engines.arrays import difference
from agent.engines.contract import Batch, DeviceLost
from agent.engines.cost import Cost
from agent.store import contest
from agent.store.folder import StoreFolder
from agent.store.model import Form
from agent.store.models import Store
from agent.store.room import Room
from agent.store.variants import choose
from tests.support import formplugin
from tests.support.clients import client, ids
from tests.support.formplugin import Sums, write
from tests.support.onnxmodels import save_tweets
from tests.support.optional import require
from tests.support.paths import TWEETS
from tests.support.servers import SpawnAgent
from tests.support.torchmodels import MaskedSum, batchable_signature, save
from vaccel_rpc.client import Variant
from vaccel_rpc.errors import InvalidArgument
from vaccel_rpc.extensions import TIMINGS
from vaccel_rpc.tensors import Tensor, from_values, to_values

#: Milliseconds of a batch: the registered form's, clearly quicker, a little quicker, slower.
OWN, QUICK, NEAR, SLOW = 4.0, 2.0, 3.9, 8.0


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass
class Forms:
    """A store with ``model.form``, and the forms that a test adds to it."""

    folder: Path
    caplog: pytest.LogCaptureFixture

    def __post_init__(self) -> None:
        self.own = write(self.folder / "model.form", ms=OWN)

    def add(self, name: str, precision: str = "float32", **behaviour: object) -> None:
        write(self.folder / f"{name}.form", digest_of(self.own), precision, **behaviour)

    def run(self, precision: Precision = "exact") -> Form:
        """What runs for ``model``. Raises what loading it raises."""

        async def loaded(store: Store) -> Form:
            return await store.form(await store.by_paths(["model"]))

        with self._store(precision) as store, self.caplog.at_level(logging.INFO):
            return asyncio.run(loaded(store))

    def preloaded(self) -> list[str]:
        """The names of the models that ``--preload all`` loads."""
        with self._store("exact") as store:
            return [model.name for model in asyncio.run(store.preload(["all"]))]

    @contextlib.contextmanager
    def _store(self, precision: Precision) -> Iterator[Store]:
        engine = formplugin.open("cpu", 1)
        store = Store(
            StoreFolder(self.folder, lambda: (".form",)), "deny", engine.load, lambda *_: None, room=Room(models=4),
            choose=lambda digest, variants: choose(digest, variants, precision, lambda _, each: each in engine.precisions),
        )  # fmt: skip
        try:
            yield store
        finally:
            store.close()


@pytest.fixture
def forms(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Forms:
    gc.collect()
    Sums.most = 0
    return Forms(tmp_path, caplog)


@pytest.mark.parametrize(
    ("form", "runs", "says"),
    [
        ({"ms": QUICK}, True, "other.form takes 0.5"),
        ({"ms": NEAR}, False, "model.form runs"),
        ({"ms": SLOW}, False, "model.form runs"),
        ({"ms": QUICK, "off": 5e-5}, True, "other.form runs"),
        ({"ms": QUICK, "off": 0.25}, False, "its answers differ by 0.25, more than 0.0001"),
        ({"ms": QUICK, "off": float("nan")}, False, "its answers differ by nan"),
        ({"ms": QUICK, "off": float("inf")}, False, "its answers differ by inf"),
        ({"ms": QUICK, "fails": "load"}, False, "other.form does not run for model (sha256:"),
        ({"ms": QUICK, "fails": "run"}, False, "it fails: this form cannot run"),
        ({"ms": QUICK, "joinable": False}, False, "its requests cannot be joined"),
        ({"ms": QUICK, "signed": False}, False, "it has no signature"),
        ({"ms": QUICK, "output": "z"}, False, "its inputs or outputs are other ones"),
    ],
)  # fmt: skip
def test_a_form_runs_where_it_is_quicker_and_answers_the_same(forms: Forms, form: dict[str, Any], runs: bool, says: str) -> None:
    """Else the registered one runs, and one line of the log says why; whatever a form does, the model is served."""
    forms.add("other", **form)
    assert forms.run().file == ("other.form" if runs else "model.form")
    assert sum(says in record.message for record in forms.caplog.records) == 1
    assert "Loaded model model (sha256:" in forms.caplog.text


def test_of_several_the_quickest_runs_and_two_are_in_memory_at_a_time(forms: Forms) -> None:
    """The one that runs is the only one left."""
    for name, ms in (("a", SLOW), ("b", 1.0), ("c", 2.0), ("d", SLOW)):
        forms.add(name, ms=ms)
    form = forms.run()
    assert (form.file, form.precision) == ("b.form", "exact")
    assert form.variant is not None
    assert form.variant.of == digest_of(forms.own)
    assert (Sums.most, len(Sums.alive)) == (2, 1)


def test_nan_of_the_registered_form_is_no_reason_to_replace_it(forms: Forms) -> None:
    """Not a number is never the same answer."""
    forms.own = write(forms.own, ms=OWN, off=float("nan"))
    forms.add("other", ms=QUICK, off=float("nan"))
    assert forms.run().file == "model.form"


def test_a_model_without_a_signature_keeps_its_form(forms: Forms) -> None:
    """Nothing says what it could be tried with; the log does."""
    forms.own = write(forms.own, ms=OWN, signed=False)
    forms.add("other", ms=QUICK)
    assert forms.run().file == "model.form"
    assert "has no signature: its other forms are not tried" in forms.caplog.text


def test_what_the_registered_form_refuses_no_other_answers(forms: Forms) -> None:
    """There is nothing to compare it with."""
    forms.own = write(forms.own, fails="load")
    forms.add("other", ms=QUICK)
    with pytest.raises(InvalidArgument, match="cannot be loaded"):
        forms.run()


@pytest.mark.parametrize(
    ("precision", "runs"),
    [("registered", "model.form"), ("exact", "exact.form"), ("auto", "bf16.form"), ("fast", "b.form")],
)
def test_precision_says_which_may_compete(forms: Forms, precision: Precision, runs: str) -> None:
    """registered: nothing; exact: exact forms; auto: bf16; fast: int8, and of its files the quickest, not the first."""
    forms.add("exact", ms=QUICK)
    for name, kind, ms in (("a", "int8", 3.0), ("b", "int8", 1.0), ("bf16", "bf16", 0.5)):
        forms.add(name, kind, ms=ms)
    form = forms.run(precision)
    assert form.file == runs
    assert form.precision == {"auto": "bf16", "fast": "int8"}.get(precision, "exact")


def test_a_variant_that_fails_leaves_the_next_best(forms: Forms) -> None:
    """Of its precision, then of the next precision, then the model itself."""
    forms.add("a", "int8", fails="load")
    forms.add("b", "int8", ms=SLOW)
    forms.add("c", "bf16", ms=QUICK)
    assert forms.run("fast").file == "b.form"
    forms.add("b", "int8", fails="load")
    assert forms.run("fast").file == "c.form"
    forms.add("c", "bf16", fails="load")
    assert forms.run("fast").file == "model.form"


def test_a_file_that_is_no_longer_a_variant_does_not_run(forms: Forms) -> None:
    """Its content is hashed when it loads: a digest beside it that another content had does not help."""
    forms.add("other", ms=QUICK)
    (forms.folder / "other.form.sha256").write_text(f"{digest_of(forms.folder / 'other.form')}  other.form\n")
    write(forms.folder / "other.form", ms=QUICK / 2, of=digest_of(forms.own))
    assert forms.run().file == "model.form"
    assert "other.form does not match other.form.sha256" in forms.caplog.text


def test_a_form_whose_original_is_not_there_is_a_model_itself(forms: Forms) -> None:
    """``--preload all`` loads it, under its own name; beside its original it is loaded in its place alone."""
    forms.add("other", ms=QUICK)
    assert forms.preloaded() == ["model"]
    forms.own.unlink()
    assert forms.preloaded() == ["other"]


class OnGpu(Sums):
    """With a vocabulary of nine words: an index beyond it is an assertion of the device, which is lost by it."""

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:
        if any(max(to_values(ids)) > 8 for (ids,) in requests):
            raise DeviceLost("device-side assert triggered")
        return super().run(requests, alone=alone)


def test_comparing_forms_costs_no_device() -> None:
    """A vocabulary may be small: what is tried keeps to its first words."""
    assert contest.Contest(OnGpu()).difference(OnGpu(off=0.1)) == "its answers differ by 0.1, more than 0.0001"


class Padding(Sums):
    """Takes the time that its cost says; ``pads``: also for padding."""

    def __init__(self, *, pads: bool) -> None:
        super().__init__(ms=0)
        self.cost = Cost(2e-3, 0, 5e-5, 0, pads=pads)

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:
        each = [ids.dims[1] for (ids,) in requests]
        time.sleep(self.cost.seconds(len(each), max(each), sum(each)))
        return super().run(requests, alone=alone)


def test_requests_are_timed_in_the_batches_that_they_run_in() -> None:
    """They differ in length: who computes no padding runs more of them together, and is quicker."""
    padded, unpadded = Padding(pads=True), Padding(pads=False)
    assert contest.Contest(padded).ratio(padded, unpadded) < contest.MARGIN


def test_timing_ends_in_time() -> None:
    """A model of seconds a batch is timed by its first shape alone."""
    slow = Sums(ms=1100)
    rounds = contest.Contest(Sums(ms=0))
    assert 0.9 < rounds.ratio(slow, Sums(ms=1100)) < 1.1


def test_exact_forms_of_torch_compete_and_the_answer_names_the_one_that_ran(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """TorchScript and torch.export: one is preloaded; log, metrics and runs name the same, and both answer the same."""
    store = tmp_path / "store"
    store.mkdir()
    signature = batchable_signature("sums")
    own = save(MaskedSum(), store / "sums.pt", signature)
    dims = {0: torch.export.Dim("n"), 1: torch.export.Dim("t")}
    ids, mask = (torch.ones((2, 3), dtype=torch.int64) for _ in range(2))
    program = torch.export.export(MaskedSum(), (ids, mask), dynamic_shapes=(dims, dims))
    of = json.dumps({"of": digest_of(own), "precision": "float32"})
    torch.export.save(program, store / "sums.pt2", extra_files={"signature.json": signature, "variant.json": of})
    agent = spawn_agent("--models", str(store), "--preload", "all", "--metrics-address", "127.0.0.1:0")
    (line,) = [line for line in agent.text.splitlines() if "of the time of sums.pt: " in line]
    file = line.split(": ")[-1].removesuffix(" runs")
    assert file in ("sums.pt", "sums.pt2")
    assert agent.text.count("Loaded model sums (sha256:") == 1
    calls = client(agent)
    session = calls.create_session()
    inputs = [from_values("int64", [1, 3], [1, 2, 3]), from_values("int64", [1, 3], [1, 1, 0])]
    ran = calls.start_run(session, calls.register_path(session, "sums"), inputs, 1, 20, {TIMINGS: "1"}).result()
    assert to_values(ran.outputs[0]) == [3, 2]
    assert ran.variant == (Variant("float32", digest_of(store / file)) if file == "sums.pt2" else None)
    named = calls.start_run(session, calls.register_path(session, "sums.pt2"), inputs, 1, 20, {TIMINGS: "1"}).result()
    assert named.variant == Variant("float32", digest_of(store / "sums.pt2"))
    text = requests.get(agent.wait_for(r"Metrics and health on '(http://[^']+)'")[1] + "/metrics", timeout=5).text
    assert f'vaccel_model_loaded{{file="{file}",model="sums",precision="exact",sha256="{digest_of(own)}"}} 1.0' in text


def test_the_model_that_ships_competes_with_its_onnx_form(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Both answer the same to 1e-4; the log says which takes how long, and the answer which ran."""
    require(importlib.util.find_spec("onnxruntime"), "onnxruntime is not installed (make install-onnx)")
    own, form = tmp_path / "store" / "tweets.pt", tmp_path / "store" / "tweets.onnx"
    own.parent.mkdir()
    shutil.copy(TWEETS, own)
    save_tweets(form)
    whole = onnx.load(form)
    whole.metadata_props.add(key="variant.json", value=json.dumps({"of": digest_of(own), "precision": "float32"}))
    onnx.save(whole, form)
    agent = spawn_agent("--models", str(own.parent), "--preload", "all")
    (line,) = [line for line in agent.text.splitlines() if "of the time of tweets.pt: " in line]
    runs = line.split(": ")[-1].removesuffix(" runs")
    calls = client(agent)
    session = calls.create_session()
    ran = calls.start_run(session, calls.register_path(session, "tweets"), ids(101, 2204, 102), 1, 20, {TIMINGS: "1"}).result()
    assert ran.variant == (Variant("float32", digest_of(form)) if runs == "tweets.onnx" else None)
    exact = client(spawn_agent("--models", str(own.parent), "--precision", "registered"))
    session = exact.create_session()
    for name in ("tweets.pt", "tweets.onnx"):
        outputs = exact.run(session, exact.register_path(session, name), ids(101, 2204, 102), 1, 20)
        assert difference(ran.outputs, outputs) <= 1e-4
