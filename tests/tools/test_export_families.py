"""Classifiers of many families, exported, and equal to transformers' own pipeline or refused with the reason."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from click.testing import CliRunner, Result

from export.commands import main
from tests.support.families import FAMILIES, make
from tests.support.served import check_served
from tests.support.servers import SpawnAgent
from vaccel_common.modelfile import read_extras

FORMS = (".pt", ".pt2", ".onnx")
#: Family and form of what cannot be exported -> a part of the reason.
REFUSED = {
    **{(family, form): "nor is it right as" for family in ("canine", "funnel", "longformer") for form in FORMS},
    **{("nystromformer", form): "transformers' own pipeline fails with it" for form in FORMS},
    **{(family, ".pt2"): "as .pt and .onnx it is right" for family in ("bart", "mbart", "t5", "xlnet")},
}
#: Families whose answers padding changes: the file says that texts run alone.
ALONE = {"bart", "convbert", "fnet", "mbart", "mobilebert", "t5", "xlnet"}
#: What a family needs beside its folder.
OPTIONS = {"gpt2": ("--pad-id", "0")}
#: One for each way to encode positions, to attend and to pool; `make models-check` tries all.
SOME = ("deberta-v2", "fnet", "gpt2", "mpnet", "nystromformer", "xlnet")
#: Of these, one that torch.export alone brings to ONNX, and one that a trace does too; test_export_served has xlnet, which a trace alone does.
IN_ONNX = ("fnet", "mpnet")


def export(folder: Path, out: Path, *options: str) -> Result:
    """``python -m models.export huggingface`` in this process."""
    return CliRunner().invoke(main, ["huggingface", str(folder), "-o", str(out), *options])


def verdict(path: Path) -> dict[str, object]:
    """``verdict.json`` of a model file."""
    if path.suffix == ".onnx":
        properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
        return dict(json.loads(properties["verdict.json"]))
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/extra/verdict.json"))
        found: dict[str, object] = json.loads(archive.read(name))
    return found


def _exported(tmp_path: Path, family: str, suffix: str) -> Path | None:
    """The family's file, which has the answers of its pipeline; None where it is refused, rightly."""
    out = tmp_path / f"{family}{suffix}"
    done = export(make(tmp_path / "folder", family), out, *OPTIONS.get(family, ()))
    if reason := REFUSED.get((family, suffix)):
        assert done.exit_code == 1
        assert reason in done.output
        assert len(done.output.splitlines()) == 1
        assert not list(tmp_path.glob(f"*{suffix}*"))
        return None
    assert done.exit_code == 0, done.output
    check(out, family)
    return out


def check(out: Path, family: str) -> None:
    """Verdict and signature of a classifier of that family that was written."""
    assert float(str(verdict(out)["scores"])) <= 1e-4
    signature = read_extras(out).signature
    assert signature is not None
    assert signature.pairs == "allowed" or out.suffix != ".pt"
    assert (verdict(out)["pairs"] == 0) == (signature.pairs == "refused")
    assert (signature.batch is None) == (family in ALONE)


@pytest.mark.parametrize(
    ("family", "suffix"), [*((family, ".pt") for family in SOME), *((family, ".onnx") for family in IN_ONNX)]
)
def test_a_family_gives_the_answers_of_its_pipeline(tmp_path: Path, family: str, suffix: str) -> None:
    """To 1e-4, alone and, where padding changes nothing, in batches; or it is refused."""
    _exported(tmp_path, family, suffix)


@pytest.mark.models
@pytest.mark.parametrize("suffix", FORMS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_right_or_refused(tmp_path: Path, spawn_agent: SpawnAgent, family: str, suffix: str) -> None:
    """In each form, in its file and served over HTTP; a refusal is one line and leaves nothing behind."""
    if out := _exported(tmp_path, family, suffix):
        check_served(spawn_agent, out, tmp_path / "folder", tmp_path)


#: Labels and changes of config.json of classifiers that differ in what they answer.
ANSWERS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "1000 labels": (tuple(f"class {i}" for i in range(1000)), {}),
    "labels of several scripts": (("gut", "嫌い", "🙂"), {}),
    "one label": (("spam",), {}),
    "several labels at once": (("a", "b", "c"), {"problem_type": "multi_label_classification"}),
    "regression": (("stars",), {"problem_type": "regression"}),
    "bfloat16": (("a", "b"), {"dtype": torch.bfloat16}),
    "float16": (("a", "b"), {"dtype": torch.float16}),
}


@pytest.mark.models
@pytest.mark.parametrize("suffix", FORMS)
@pytest.mark.parametrize("name", ANSWERS)
def test_every_kind_of_answer_is_right(tmp_path: Path, spawn_agent: SpawnAgent, name: str, suffix: str) -> None:
    """In each form, computed in float32, and served over HTTP."""
    labels, changes = ANSWERS[name]
    out = tmp_path / f"out{suffix}"
    done = export(make(tmp_path / "folder", "distilbert", labels, **changes), out)
    assert done.exit_code == 0, done.output
    assert float(str(verdict(out)["scores"])) <= 1e-5
    extras = read_extras(out)
    assert extras.labels == list(labels)
    assert extras.signature is not None
    assert extras.signature.outputs[0].dtype == "float32"
    check_served(spawn_agent, out, tmp_path / "folder", tmp_path)
