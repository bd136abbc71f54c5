"""int8 variants in ONNX of classifiers whose network is not known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper

from agent.engines.registry import Engines
from export import onnxform, onnxint8, onnxrun
from export.commands import main
from export.foreign import PlainSession
from export.variants import main as variants
from tests.support.families import WORDS, make
from tests.support.onnxmodels import FLOAT, constant, foreign, info, model
from vaccel_common.digestfile import digest_beside
from vaccel_common.modelfile import read_entries, read_extras
from vaccel_rpc.tensors import from_values, to_values


def int8(*arguments: str | Path) -> Result:
    """``python -m models.variants int8 --form onnx`` in this process."""
    return CliRunner().invoke(variants, ["int8", "--form", "onnx", *map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``m.pt`` and ``m.onnx`` of one classifier, and texts for it."""
    at = tmp_path_factory.mktemp("int8")
    make(at / "hf", "deberta", num_hidden_layers=1)
    for name in ("m.pt", "m.onnx"):
        done = CliRunner().invoke(main, ["huggingface", str(at / "hf"), "-o", str(at / name)])
        assert done.exit_code == 0, done.output
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice([word for word in WORDS if word.isalpha()], rng.integers(1, 40))) for _ in range(160)]
    (at / "texts.txt").write_text("\n".join(lines))
    return at


@pytest.mark.parametrize("name", ["m.pt", "m.onnx"])
def test_any_classifier_has_an_int8_variant_in_onnx(folder: Path, tmp_path: Path, name: str) -> None:
    """It names its original, has its tokenizer, labels and signature, and says what was compared."""
    out = tmp_path / "out.onnx"
    done = int8(folder / name, "--texts", folder / "texts.txt", "-o", out)
    assert done.exit_code == 0, done.output
    extras, original = read_extras(out), read_extras(folder / name)
    assert (extras.tokenizer, extras.labels, extras.signature) == (original.tokenizer, original.labels, original.signature)
    assert extras.variant is not None
    assert (extras.variant.of, extras.variant.precision, extras.variant.texts) == (digest_beside(folder / name), "int8", 160), (
        "half of them pairs"
    )
    assert extras.variant.agreement >= 0.95
    products = [node for node in onnx.load(out).graph.node if node.op_type == "MatMulIntegerToFloat"]
    assert len(products) == 6, "all of the layer; the head stays"
    assert f"checked against {name}: scores change by at most 0." in done.output
    assert "between alone and padded in batches of 16" in done.output
    engines = Engines()
    engines.open("cpu", 1)
    assert engines.load(out).joinable


def test_a_variant_with_other_labels_is_not_written(folder: Path, tmp_path: Path) -> None:
    """The line says for how many texts, and what the limit is."""
    done = int8(folder / "m.onnx", "--least-agreement", "1", "-o", tmp_path / "out.onnx")
    assert done.exit_code == 1
    assert "of 1000 texts get the label of m.onnx, and --least-agreement is 100.00%" in done.output
    assert not list(tmp_path.iterdir())


def test_what_has_no_int8_variant_is_refused_in_a_line(folder: Path, tmp_path: Path) -> None:
    """A file without its tokenizer, a graph without layers to quantize, and a regression."""
    bare, shallow, number = (tmp_path / f"{name}.onnx" for name in ("bare", "shallow", "number"))
    onnx.save(foreign(), bare)
    says = "has no tokenizer.json and no labels.json and no signature.json: 'models.export onnx' adds them"
    assert says in int8(bare).output
    entries = {name: data.decode() for name, data in read_entries(folder / "m.onnx").items()}
    for path, problem_type in ((shallow, "single_label_classification"), (number, "regression")):
        onnx.save(foreign(), path)
        signature = json.dumps({**json.loads(entries["signature.json"]), "problem_type": problem_type})
        for name, entry in (entries | {"signature.json": signature}).items():
            onnxform.add_entry(path, name, entry)
    assert "shallow.onnx has no products of float32 states with weights before its last layers" in int8(shallow).output
    assert "number.onnx is a regression" in int8(number).output
    assert not list(tmp_path.glob("*.int8.onnx"))


def test_the_right_answers_of_another_tools_int8_file_do_not_overflow() -> None:
    """With which the file is compared, on every CPU: the largest inputs times the largest weights."""
    nodes = [
        helper.make_node("Cast", ["x"], ["a"], to=TensorProto.UINT8),
        helper.make_node("MatMulInteger", ["a", "w", "zero"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["y"], to=FLOAT),
    ]
    constants = [constant("w", np.full((64, 2), 127, np.int8)), constant("zero", np.array(0, np.uint8))]
    whole = model(nodes, [info("x", FLOAT, ["n", 64])], [info("y", FLOAT, ["n", 2])], constants)
    session = PlainSession(whole, None)
    assert not session.is_plain
    (answer,) = session.run([[from_values("float32", [1, 64], [255.0] * 64)]], alone=True).outputs
    assert to_values(answer[0]) == [64 * 255 * 127] * 2


def test_weights_that_graphs_within_nodes_use_are_kept() -> None:
    """As are weights that several layers share."""
    rng = np.random.default_rng(0)
    weight, head = (rng.normal(size=shape).astype(np.float32) for shape in ((4, 4), (4, 2)))
    branch = helper.make_graph([helper.make_node("Add", ["q", "b"], ["r"])], "branch", [], [info("r", FLOAT, ["n", 4])])
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("MatMul", ["p", "w"], ["q"]),
        helper.make_node("If", ["yes"], ["s"], then_branch=branch, else_branch=branch),
        helper.make_node("MatMul", ["s", "h"], ["y"]),
    ]
    constants = {"w": weight, "h": head, "b": np.ones(4, np.float32), "yes": np.array(True)}
    whole = model(
        nodes,
        [info("x", TensorProto.FLOAT, ["n", 4])],
        [info("y", FLOAT, ["n", 2])],
        [constant(*one) for one in constants.items()],
    )
    inputs = rng.normal(size=(5, 4)).astype(np.float32)
    lowered = onnxint8.to_int8(whole, onnxint8.ranges(whole, [{"x": inputs}]))
    assert [node.op_type for node in lowered.graph.node].count("MatMulIntegerToFloat") == 2
    (answer,) = onnxrun.session(lowered).run(None, {"x": inputs})
    right = (inputs @ weight @ weight + 1) @ head
    assert 0 < np.abs(answer - right).max() < 0.5
