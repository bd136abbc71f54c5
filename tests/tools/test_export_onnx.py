"""ONNX as a form of a program."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import torch
from click.testing import CliRunner, Result
from onnx import TensorProto, helper
from torch import nn

from agent.engines.registry import Engines
from export import onnxform, onnxint8, onnxrun
from export.archive import write_torchscript
from export.commands import main
from export.refusal import Refused
from export.tokenizer import write_tokenizer_file
from export.variants import main as variants
from function.core.tokens import Encoder
from tests.support.families import make
from tests.support.paths import ROOT, TWEETS
from tests.support.smallmodel import write_small_model
from vaccel_common.modelfile import program_kind, read_entries, read_extras
from vaccel_rpc.tensors import Tensor, to_values

TEXTS = ["the cake was very good", "tea", "we was late again, the train is bad " * 4, "🙂 天气 мы", ""]


def tool(*arguments: str | Path) -> Result:
    """``python -m models.export`` in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def outputs(path: Path, *, joined: bool = False) -> list[float]:
    """The logits of `TEXTS` by the agent's engine, alone or in one batch."""
    engines = Engines()
    engines.open("cpu", 1)
    program, extras = engines.load(path), read_extras(path)
    assert extras.signature is not None
    assert extras.tokenizer is not None
    requests: list[list[Tensor]] = [item.windows[0] for item in Encoder(extras.tokenizer, extras.signature).encode(TEXTS)]
    batches = [requests] if joined else [[request] for request in requests]
    answers = [answer for batch in batches for answer in program.run(batch, alone=False).outputs]
    return [float(value) for answer in answers for value in to_values(answer[0])]


def difference(one: list[float], other: list[float]) -> float:
    """The largest."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier as its author publishes it, and its files ``m.pt``, ``m.pt2`` and ``m.onnx`` beside it."""
    at = tmp_path_factory.mktemp("forms")
    make(at / "hf", "bert", ("gut", "嫌い", "🙂"), num_hidden_layers=1)
    for name in ("m.pt", "m.pt2", "m.onnx"):
        done = tool("huggingface", at / "hf", "-o", at / name)
        assert done.exit_code == 0, done.output
    return at


def test_the_three_forms_of_a_model_agree(folder: Path) -> None:
    """To 1e-4, alone and in a batch; each has the same labels and tokenizer, and its verdict."""
    plain = outputs(folder / "m.pt")
    for name in ("m.pt2", "m.onnx"):
        for joined in (False, True):
            assert difference(outputs(folder / name, joined=joined), plain) < 1e-4
    extras = read_extras(folder / "m.onnx")
    assert extras.labels == ["gut", "嫌い", "🙂"]
    assert extras.tokenizer == read_extras(folder / "m.pt").tokenizer
    assert program_kind(folder / "m.onnx") == "onnx"
    verdict = json.loads(_properties(folder / "m.onnx")["verdict.json"])
    assert verdict["weights"] == "float32"
    assert verdict["scores"] < 1e-4


class Histogram(nn.Module):
    """An embedding's sum, and an operator that ONNX does not have."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(30522, 3)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = (self.words(input_ids) * attention_mask.unsqueeze(-1)).sum(1)
        return logits + 0 * torch.histc(logits, 3)


def test_a_trace_that_fails_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """torch prints the graph itself, in C++ and past Python's standard output."""
    extras = {name: read_entries(TWEETS)[name] for name in ("tokenizer.json", "labels.json", "signature.json")}
    path = tmp_path / "m.pt"
    write_torchscript(Histogram().eval(), path, {name: value.decode() for name, value in extras.items()}, half=False)
    done = CliRunner().invoke(variants, ["onnx", str(path)])
    assert done.exit_code == 1
    (line,) = done.output.splitlines()
    assert "aten::histc" in line
    assert capfd.readouterr().out == ""
    print("and what follows is printed")
    assert capfd.readouterr().out == "and what follows is printed\n"


def _properties(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def test_an_onnx_file_is_plain_and_has_no_paths_of_its_builder(folder: Path) -> None:
    """Standard operators alone; dimensions are those of the signature."""
    model = onnx.load(folder / "m.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert {opset.domain for opset in model.opset_import if opset.domain} <= {"ai.onnx.ml"}
    assert {node.domain for node in model.graph.node} == {""}
    for value in model.graph.input:
        assert [dim.dim_param for dim in value.type.tensor_type.shape.dim] == ["n", "t"]
    content = (folder / "m.onnx").read_bytes()
    assert str(ROOT).encode() not in content
    assert b".py" not in content


def test_attention_is_two_products_and_a_softmax(folder: Path) -> None:
    """torch's fused attention, which transformers chooses, would be a third more operators, IsNaN among them."""
    graph = onnx.load(folder / "m.onnx").graph
    (softmax,) = (node for node in graph.node if node.op_type == "Softmax")
    users = [node.op_type for node in graph.node if softmax.output[0] in node.input]
    assert users == ["MatMul"]


def test_a_tokenizer_file_is_made_of_an_onnx_file_too(folder: Path, tmp_path: Path) -> None:
    """With the same entries as of the TorchScript file, but for what names the model and says what its file holds."""
    for name in ("m.pt", "m.onnx"):
        write_tokenizer_file(folder / name, tmp_path / f"{name}.tokenizer")
    one, other = (read_entries(tmp_path / f"{name}.tokenizer") for name in ("m.pt", "m.onnx"))
    named = [json.loads(entries["model.json"]) for entries in (one, other)]
    assert [(about["name"], about.get("kind")) for about in named] == [("m", None), ("m", "onnx")]
    assert {name: one[name] for name in ("tokenizer.json", "labels.json")} == {
        name: other[name] for name in ("tokenizer.json", "labels.json")
    }


def test_a_model_beyond_the_size_of_one_file_is_refused() -> None:
    """At the edge: 400 bytes of weights fit into 400, and not into 399."""
    module = nn.Linear(10, 10, bias=False).half()
    onnxform.require_size(module, 400)
    with pytest.raises(Refused, match=r"its weights are 4e-07 GB, and one ONNX file holds at most 3\.99e-07"):
        onnxform.require_size(module, 399)


def test_torchscript_becomes_onnx(folder: Path, tmp_path: Path) -> None:
    """Which torch.export cannot read; the module is traced instead."""
    entries = read_entries(folder / "m.pt")
    for name in ("tokenizer.json", "labels.json", "signature.json"):
        (tmp_path / name).write_bytes(entries[name])
    parts = ("--tokenizer", tmp_path / "tokenizer.json", "--labels", tmp_path / "labels.json", "--max-length", "64")
    done = tool("torchscript", folder / "m.pt", *parts, "-o", tmp_path / "out.onnx")
    assert done.exit_code == 0, done.output
    assert difference(outputs(tmp_path / "out.onnx"), outputs(folder / "m.pt")) < 1e-4


def test_an_exact_form_and_an_int8_variant_name_their_original(tmp_path: Path) -> None:
    """The form has its answers; the variant's do not depend on the batch, and it may be made of the form."""
    model, texts = write_small_model(tmp_path / "small.pt"), tmp_path / "texts.txt"
    texts.write_text("\n".join(f"{text} {n}" for n in range(20) for text in TEXTS))
    of_form = str(tmp_path / "form.int8.onnx")
    quantized = ("int8", "--form", "onnx", "--texts", str(texts))
    for command in (("onnx", model), (*quantized, model), (*quantized, tmp_path / "small.onnx", "-o", of_form)):
        done = CliRunner().invoke(variants, [str(part) for part in command])
        assert done.exit_code == 0, done.output
    again = CliRunner().invoke(variants, [*quantized, of_form])
    assert again.exit_code == 2
    assert again.output.endswith("form.int8.onnx is a variant itself; pass the original\n")
    form, int8, other = (read_extras(tmp_path / name).variant for name in ("small.onnx", "small.int8.onnx", "form.int8.onnx"))
    assert form is not None
    assert int8 is not None
    assert other is not None
    assert form.of == int8.of == other.of == (tmp_path / "small.pt.sha256").read_text().split()[0]
    assert (form.precision, form.agreement, int8.precision) == ("float32", 1.0, "int8")
    assert difference(outputs(tmp_path / "small.onnx"), outputs(model)) < 1e-4
    alone, joined = outputs(tmp_path / "small.int8.onnx"), outputs(tmp_path / "small.int8.onnx", joined=True)
    assert 0 < difference(alone, outputs(model)) < 0.1
    assert difference(alone, joined) < 1e-4


@pytest.mark.parametrize(
    ("command", "name", "says"),
    [
        (
            "int8",
            "m.onnx",
            "m.onnx is ONNX: int8 and bf16 variants in TorchScript are made of .pt files that 'models.export checkpoint' wrote",
        ),
        ("bf16", "m.pt2", "m.pt2 is torch.export: int8 and bf16 variants in TorchScript are made of .pt files"),
        ("int8", "m.pt", "m.pt has no config.json: int8 and bf16 variants in TorchScript are made of .pt files"),
        ("onnx", "m.onnx", "m.onnx is ONNX: ONNX is made of a .pt file here"),
    ],
)
def test_a_variant_of_another_form_or_family_is_refused(folder: Path, command: str, name: str, says: str) -> None:
    """In a line that says of what variants are made."""
    done = CliRunner().invoke(variants, [command, str(folder / name)])
    assert done.exit_code == 2
    assert says in done.output.splitlines()[-1]
    assert not list(folder.glob("*.int8.*"))


def test_a_form_of_a_model_of_pairs_is_checked_with_pairs(tmp_path: Path) -> None:
    """Which such a model alone takes."""
    done = CliRunner().invoke(variants, ["onnx", str(write_small_model(tmp_path / "cross.pt", "required"))])
    assert done.exit_code == 0, done.output
    verdict = json.loads(_properties(tmp_path / "cross.onnx")["verdict.json"])
    assert verdict["texts"] == verdict["pairs"] > 0


def test_int8_products_are_those_of_the_rounded_numbers() -> None:
    """Weights have a scale for each output, inputs one for all; the bias is added, and the last layer kept."""
    generator = torch.Generator().manual_seed(0)
    weight, bias, head = (torch.randn(shape, generator=generator).numpy() for shape in ((4, 3), (3,), (3, 2)))
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["s"]),
        helper.make_node("MatMul", ["s", "h"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [onnx.numpy_helper.from_array(array, name) for array, name in ((weight, "w"), (bias, "b"), (head, "h"))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    inputs = torch.randn(5, 4, generator=generator)
    bounds = onnxint8.ranges(model, [{"x": inputs.numpy()}])
    assert bounds == {"x": (min(0.0, float(inputs.min())), float(inputs.max()))}
    low, high = bounds["x"]
    scale = (high - low) / 255
    zero = round(-low / scale)
    steps = (inputs / scale).round().add(zero).clamp(0, 255) - zero
    scales = torch.tensor(abs(weight).max(0) / 64)
    rounded = (torch.tensor(weight) / scales).round() * scales
    expected = (steps * scale @ rounded + torch.tensor(bias)) @ torch.tensor(head)
    answer = onnxrun.program(onnxint8.to_int8(model, bounds))(inputs)
    assert torch.allclose(answer, expected, atol=1e-4)
    assert not torch.allclose(answer, (inputs @ torch.tensor(weight) + torch.tensor(bias)) @ torch.tensor(head), atol=1e-4)
