"""Faster variants of a model: how far they are from it, and when the agent runs and reports one."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import requests
import torch
from click.testing import CliRunner, Result
from tokenizers import Tokenizer

from agent.config import Precision
from agent.engines.registry import Engines
from agent.engines.torch.engine import TorchEngine
from agent.store.variants import choose
from export import variants
from export.comparison import load, logits_of
from export.samples import made_up, token_ids
from tests.support.clients import client, ids
from tests.support.functions import post, start, wait_until_ready
from tests.support.optional import require
from tests.support.paths import TWEETS
from tests.support.servers import SpawnAgent
from tests.support.smallmodel import write_small_model
from vaccel_common.digestfile import digest_beside
from vaccel_common.modelfile import ModelFileError, VariantOf, parse_variant, program_kind, read_extras
from vaccel_rpc.client import Variant
from vaccel_rpc.extensions import TIMINGS

ORIGINAL = (TWEETS.parent / "tweets.pt.sha256").read_text().split()[0]
#: What this machine computes faster than float32.
ABLE = TorchEngine("cpu", 1).precisions
#: The most by which a logit may differ from the original's, and from that of the same text alone.
LIMITS = {"int8": (1.5, 0.2, 0.3), "bf16": (0.15, 0.03, 0.1)}


def tool(*arguments: str) -> Result:
    """``python -m models.variants`` in this process, which has torch."""
    return CliRunner().invoke(variants.main, list(arguments))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tweets.pt and both variants, as the tool writes them."""
    folder = tmp_path_factory.mktemp("variants")
    for name in ("tweets.pt", "tweets.pt.sha256"):
        shutil.copy(TWEETS.with_name(name), folder / name)
    texts = folder / "texts.txt"
    texts.write_text("\n".join(made_up(tokenizer(), 120, 5)))
    for precision in LIMITS:
        done = tool(precision, str(folder / "tweets.pt"), "--texts", str(texts))
        assert done.exit_code == 0, done.output
        assert "on 60 texts" in done.stdout
    return folder


def tokenizer() -> Tokenizer:
    inside = read_extras(TWEETS).tokenizer
    assert inside is not None
    return Tokenizer.from_str(inside.decode())


@pytest.mark.parametrize("precision", LIMITS)
def test_a_variant_is_whole_and_says_whose_it_is(store: Path, precision: str) -> None:
    """TorchScript, so that it may be uploaded; tokenizer, labels and signature are the original's."""
    path = store / f"tweets.{precision}.pt"
    extras, original = read_extras(path), read_extras(TWEETS)
    assert (extras.tokenizer, extras.labels, extras.signature) == (original.tokenizer, original.labels, original.signature)
    assert extras.variant is not None
    assert (extras.variant.of, extras.variant.precision, extras.variant.texts) == (ORIGINAL, precision, 60)
    assert extras.variant.agreement >= 0.95
    assert program_kind(path) == "torchscript"
    assert digest_beside(path)
    assert path.stat().st_size <= 1.01 * TWEETS.stat().st_size


@pytest.mark.parametrize("precision", LIMITS)
def test_a_variant_is_near_its_original_and_joined_is_alone(store: Path, precision: str) -> None:
    """Made-up texts of 3 to 128 tokens: logits within the limits; company changes them by roundings at most."""
    require(precision in ABLE, f"this machine has no {precision}")
    rows = token_ids(tokenizer(), made_up(tokenizer(), 70, 9))
    most, mean, company = LIMITS[precision]
    variant = load(store / f"tweets.{precision}.pt")
    alone, exact = logits_of(variant, rows, 1), logits_of(load(TWEETS), rows)
    assert float((alone - exact).abs().max()) < most
    assert float((alone - exact).abs().mean()) < mean
    assert float((alone.argmax(1) == exact.argmax(1)).float().mean()) > 0.97
    assert alone.dtype == torch.float32
    backwards = logits_of(variant, rows[::-1], 16).flip(0)
    for together in (logits_of(variant, rows, 16), backwards):
        away = (alone - together).abs().amax(1)
        assert float(away.max()) <= company
        assert precision != "int8" or float((away > 1e-4).float().mean()) < 0.15


def test_what_cannot_have_a_variant_is_refused(store: Path, tmp_path: Path) -> None:
    """A variant, and a file without the network's configuration: exit code 2 and the reason."""
    bare = tmp_path / "bare.pt"
    torch.jit.save(torch.jit.load(str(TWEETS)), str(bare))
    out = tmp_path / "out.pt"
    for path, says in ((store / "tweets.int8.pt", "is a variant itself"), (bare, "no config.json")):
        refused = tool("int8", str(path), "-o", str(out))
        assert refused.exit_code == 2
        assert says in refused.stderr
    assert not out.exists()


def test_evaluate_compares_files_on_labelled_texts(tmp_path: Path) -> None:
    """Accuracy, agreement, distance, speed and size of each, as JSON."""
    small = write_small_model(tmp_path / "small.pt")
    assert tool("bf16", str(small)).exit_code == 0
    data = tmp_path / "tweets.csv"
    data.write_text("tweet,class\n" + "".join(f"{text},{n % 3}\n" for n, text in enumerate(made_up(tokenizer(), 60, 3))))
    done = tool(
        "evaluate", str(small), str(tmp_path / "small.bf16.pt"), "--data", str(data), "-o", str(tmp_path / "figures.json")
    )
    assert done.exit_code == 0, done.stderr
    files = json.loads((tmp_path / "figures.json").read_text())["files"]
    assert files["small.pt"]["agreement"] == 1.0
    assert files["small.pt"]["logits_away_most"] == 0.0
    assert files["small.bf16.pt"]["agreement"] >= 0.8
    assert all(set(figures["texts_per_second"]) == {"1", "4", "8", "16"} for figures in files.values())


X, Y = "a" * 64, "b" * 64
INT8, SURE, UNSURE, OTHERS = (
    VariantOf(X, "int8", 1.0, 9),
    VariantOf(X, "bf16", 0.999, 9),
    VariantOf(X, "bf16", 0.998, 9),
    VariantOf(Y, "int8"),
)


@pytest.mark.parametrize(
    ("precision", "able", "variants", "chosen"),
    [
        ("exact", {"int8", "bf16"}, [INT8, SURE], None),
        ("fast", {"int8", "bf16"}, [SURE, INT8], INT8),
        ("fast", {"bf16"}, [INT8, UNSURE], UNSURE),
        ("fast", set(), [INT8, SURE], None),
        ("fast", {"int8"}, [OTHERS, VariantOf(X, "int2")], None),
        ("auto", {"int8", "bf16"}, [INT8, SURE], SURE),
        ("auto", {"int8", "bf16"}, [INT8, UNSURE], None),
        ("auto", {"int8"}, [INT8, SURE], None),
    ],
)  # fmt: skip
def test_which_variant_runs(precision: Precision, able: set[str], variants: list[VariantOf], chosen: VariantOf | None) -> None:
    """fast: the fastest that the machine can; auto: bf16 that states its agreement; exact: none."""
    files = [(Path(f"{n}.pt"), variant) for n, variant in enumerate(variants)]
    candidates = choose(X, files, precision, lambda _, each: each in able)
    assert (dict(files)[candidates.groups[0][0]] if candidates.groups else None) == chosen


def test_a_file_runs_where_its_own_engine_is_right_and_quick() -> None:
    """int8 by onnxruntime on every CPU, by torch where sums cannot overflow; beside a GPU neither."""
    on_cpu, elsewhere = Engines(), Engines()
    on_cpu.open("cpu", 1)
    elsewhere.open("meta", 1)  # a device of torch's that every machine has
    files = [(Path(f"{X}.{suffix}"), VariantOf(X, "int8")) for suffix in ("pt", "onnx")]
    (group,) = choose(X, files, "fast", on_cpu.computes).groups
    assert [path.suffix for path in group] == [*([".pt"] if "int8" in ABLE else []), ".onnx"]
    assert choose(X, files, "fast", elsewhere.computes).groups == ()


def test_an_int8_variant_in_onnx_runs_on_every_cpu(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Also where torch's int8 does not."""
    require(importlib.util.find_spec("onnxruntime"), "onnxruntime is not installed (make install-onnx)")
    store = tmp_path / "store"
    store.mkdir()
    assert tool("int8", "--form", "onnx", str(write_small_model(store / "small.pt"))).exit_code == 0
    agent = spawn_agent("--models", str(store), "--preload", "all", "--precision", "fast")
    assert agent.text.count("Loaded model") == 1
    digest = digest_beside(store / "small.pt") or ""
    assert f": the int8 variant of sha256:{digest[:12]}, with its label on" in agent.text


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"of": "abc", "precision": "int8"}', f'{{"of": "{X}", "precision": 8}}'])
def test_a_wrong_variant_json_is_named(text: str) -> None:
    """The error names variant.json; fields that are not known are ignored."""
    with pytest.raises(ModelFileError, match=r"variant\.json"):
        parse_variant(text)
    assert parse_variant(f'{{"of": "{X}", "precision": "int8", "more": 1}}') == VariantOf(X, "int8")


def expected(precision: Precision) -> str | None:
    """The precision that an agent with this option runs here."""
    preferred = {"exact": (), "auto": ("bf16",), "fast": ("int8", "bf16")}[precision]
    return next((kind for kind in preferred if kind in ABLE), None)


@pytest.mark.parametrize("precision", ["exact", "auto", "fast"])
def test_the_agent_runs_what_its_option_says_and_tells(spawn_agent: SpawnAgent, store: Path, precision: Precision) -> None:
    """One model is preloaded, whatever its variants; log, metrics and the answer to who asks say which ran."""
    agent = spawn_agent("--models", str(store), "--preload", "all", "--precision", precision, "--metrics-address", "127.0.0.1:0")
    runs = expected(precision)
    name = f"tweets.{runs}" if runs else "tweets"
    digest = digest_beside(store / f"{name}.pt")
    assert agent.text.count("Loaded model") == 1
    assert f"Loaded model {name} (sha256:{digest[:12] if digest else ''}) in" in agent.text
    assert (f": the {runs} variant of sha256:{ORIGINAL[:12]}, with its label on" in agent.text) == bool(runs)
    calls = client(agent)
    session = calls.create_session()
    for reference in ("tweets", f"sha256:{ORIGINAL}"):
        model = calls.register_path(session, reference)
        ran = calls.start_run(session, model, ids(101, 2204, 102), 1, 20, {TIMINGS: "1"}).result()
        assert ran.variant == (Variant(runs, digest or "") if runs else None)
        assert len(calls.start_run(session, model, ids(101, 2204, 102), 1, 20).reply.result()) < 40, "an old client's answer"
    sent = calls.register_bytes(session, TWEETS.read_bytes(), timeout=30)
    assert calls.start_run(session, sent, ids(101, 102), 1, 20, {TIMINGS: "1"}).result().variant == ran.variant
    assert agent.text.count("Loaded model") == 1
    text = requests.get(agent.wait_for(r"Metrics and health on '(http://[^']+)'")[1] + "/metrics", timeout=5).text
    assert f'vaccel_model_loaded{{file="{name}.pt",model="{name}",precision="{runs or "exact"}",sha256="{digest}"}} 1.0' in text
    assert f'vaccel_model_run_duration_seconds_count{{model="{name}"}}' in text


def test_a_variant_can_be_asked_for_by_name(spawn_agent: SpawnAgent, store: Path) -> None:
    """Where the agent is exact: by name and digest, loaded once; both dialects tell."""
    agent = spawn_agent("--models", str(store), "--preload", "tweets.bf16", "--preload", "tweets")
    digest = digest_beside(store / "tweets.bf16.pt") or ""
    for version in ("0.7", "0.8"):
        calls = client(agent, version=version)
        session = calls.create_session()
        for reference, variant in (
            ("tweets.bf16", Variant("bf16", digest)),
            (f"sha256:{digest}", Variant("bf16", digest)),
            ("tweets", None),
        ):
            model = calls.register_path(session, reference)
            assert calls.start_run(session, model, ids(101, 102), 1, 20, {TIMINGS: "1"}).result().variant == variant
    assert agent.text.count("Loaded model") == 2


def test_the_functions_answers_say_which_variant_ran(spawn_agent: SpawnAgent, store: Path, tmp_path: Path) -> None:
    """Over every way in; the name and digest of the model that was asked for stay."""
    agent = spawn_agent("--models", str(store), "--preload", "all", "--precision", "fast")
    runs = expected("fast")
    said = {"precision": runs, "variant": digest_beside(store / f"tweets.{runs}.pt")} if runs else {}
    function = start(tmp_path, agent.addresses["unix"])
    try:
        wait_until_ready(function)
        model = {"name": "tweets", "sha256": ORIGINAL, **said}
        assert post(function, {"text": "What a lovely day"}).json()["model"] == model
        assert post(function, {"texts": ["What a lovely day", "good morning"]}).json()["model"] == model
        line = post(function, b'{"text": "What a lovely day"}\n', "application/x-ndjson").json()
        assert {name: line[name] for name in said} == said
        tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["What a lovely day"]}
        inferred = post(function, {"inputs": [tensor]}, path="/v2/models/tweets/infer").json()
        assert inferred.get("parameters", {}) == said
    finally:
        assert function.stop() == 0
