"""Models whose weights are stored in 16 bits: they are judged as the agent computes them, and the verdict says what is in the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from export.commands import main
from export.weights import stored
from tests.support.onnxmodels import foreign
from tests.tools.test_export import tokenizer
from tests.tools.test_export_families import verdict


class _MeanOfWords(nn.Module):
    """Logits of three labels, from the mean of the words' vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(4, 64), nn.Linear(64, 3)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        mask = attention_mask.unsqueeze(-1)
        logits: Tensor = self.head((self.words(input_ids) * mask).sum(1) / mask.sum(1))
        return logits


def _export(tmp_path: Path, command: str, source: str, out: str) -> Result:
    tokenizer().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "labels.json").write_text('["a", "b", "c"]')
    parts = ["--tokenizer", str(tmp_path / "tokenizer.json"), "--labels", str(tmp_path / "labels.json"), "--max-length", "16"]
    return CliRunner().invoke(main, [command, str(tmp_path / source), *parts, "-o", str(tmp_path / out)])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_module_with_16_bit_weights_is_compared_with_itself_in_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    """As the agent runs it. The weights stay as they are in a .pt file, also in one that is made of that; ONNX has 32-bit ones."""
    torch.manual_seed(0)
    module = _MeanOfWords().to(dtype).eval()
    torch.jit.script(module).save(str(tmp_path / "bare.pt"))
    name = str(dtype).removeprefix("torch.")
    for source, out, weights in (
        ("bare.pt", "first.pt", name),
        ("first.pt", "second.pt", name),
        ("first.pt", "form.onnx", "float32"),
    ):
        done = _export(tmp_path, "torchscript", source, out)
        assert done.exit_code == 0, done.output
        assert f", {weights} weights, sha256 " in done.output
        assert verdict(tmp_path / out)["weights"] == weights
    state = torch.jit.load(str(tmp_path / "second.pt")).state_dict()
    assert all(torch.equal(state[key], value) for key, value in module.state_dict().items())
    assert {value.dtype for value in state.values()} == {dtype}


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Its words in 16 bits, as other tools store them."""
    (gather,) = (node for node in model.graph.node if node.op_type == "Gather")
    gather.output[0] = "halves"
    model.graph.node.insert(1, helper.make_node("Cast", ["halves"], ["vectors"], to=TensorProto.FLOAT))
    for tensor in model.graph.initializer:
        if tensor.name == "embedding":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), "embedding"))
    return model


def test_the_verdict_on_a_foreign_file_says_how_its_weights_are_stored(tmp_path: Path) -> None:
    """The type of most of them first."""
    onnx.save(_halved(foreign()), tmp_path / "model.onnx")
    done = _export(tmp_path, "onnx", "model.onnx", "out.onnx")
    assert done.exit_code == 0, done.output
    assert ", ONNX, float16 and float32 weights, sha256 " in done.output
    assert verdict(tmp_path / "out.onnx")["weights"] == "float16 and float32"


def test_the_types_of_weights_are_named() -> None:
    """Of a program of torch.export and of weights in Constant nodes, too; single numbers are no weights."""
    module = nn.Linear(2, 2)
    assert stored(torch.export.export(module, (torch.ones(1, 2),))) == "float32"
    values = {"int8": np.int8, "float16": np.float16, "float64": np.float64}
    for name, dtype in values.items():
        node = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.ones(3, dtype)))
        scale = numpy_helper.from_array(np.array(1, np.float32), "scale")
        assert stored(helper.make_model(helper.make_graph([node], "g", [], [], [scale]))) == name
