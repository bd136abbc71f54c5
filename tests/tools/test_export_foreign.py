"""ONNX files of other tools, with all that is beside them: exported, refused in one line, and served."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tritonclient.http as triton
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from tests.support.classifier import run
from tests.support.families import make
from tests.support.functions import function_of, post, wait_until_ready
from tests.support.served import PAIRS, right
from tests.support.servers import SpawnAgent
from tests.tools.test_export_onnx import difference, outputs, tool
from vaccel_common.modelfile import read_entries, read_extras


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier as its author publishes it, and its file ``m.onnx`` beside it."""
    at = tmp_path_factory.mktemp("foreign")
    make(at / "hf", "bert", ("gut", "嫌い", "🙂"))
    done = tool("huggingface", at / "hf", "-o", at / "m.onnx")
    assert done.exit_code == 0, done.output
    return at


def _foreign(folder: Path, out: Path, edit: Callable[[onnx.ModelProto], None] = lambda _: None, **options: Any) -> Path:
    """``m.onnx`` as another tool would have written it, without our entries and with its names of dimensions."""
    model = onnx.load(folder / "m.onnx")
    del model.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        for dim, name in zip(value.type.tensor_type.shape.dim, ("batch_size", "sequence_length"), strict=True):
            if dim.dim_param:
                dim.dim_param = name
    edit(model)
    onnx.save(model, out, **options)
    return out


def _parts(folder: Path, tmp_path: Path) -> tuple[str | Path, ...]:
    entries = read_entries(folder / "m.onnx")
    for name in ("tokenizer.json", "labels.json"):
        (tmp_path / name).write_bytes(entries[name])
    return "--tokenizer", tmp_path / "tokenizer.json", "--labels", tmp_path / "labels.json", "--max-length", "64"


def test_a_foreign_file_gets_tokenizer_labels_and_signature(folder: Path, tmp_path: Path) -> None:
    """Weights in a file beside it are taken in; the answers are the graph's own."""
    source = _foreign(folder, tmp_path / "model.onnx", save_as_external_data=True, size_threshold=0)
    assert len(list(tmp_path.iterdir())) == 2
    done = tool("onnx", source, *_parts(folder, tmp_path), "-o", tmp_path / "out.onnx")
    assert done.exit_code == 0, done.output
    assert "against the graph itself, not optimized: scores differ by at most" in done.output
    assert difference(outputs(tmp_path / "out.onnx", joined=True), outputs(folder / "m.onnx")) < 1e-4
    assert tool("onnx", source, "-o", tmp_path / "out.onnx").exit_code == 2
    *parts, _, _ = _parts(folder, tmp_path)
    done = tool("onnx", source, *parts, "-o", tmp_path / "out.onnx")
    assert "its texts have up to 512 tokens here, and fewer with --max-length" in done.output


def test_a_folder_of_optimum_is_taken_as_it_is(folder: Path, tmp_path: Path) -> None:
    """config.json and the tokenizer beside model.onnx; other outputs than the logits are left out."""

    def with_states(model: onnx.ModelProto) -> None:
        states = next(node.output[0] for node in model.graph.node if node.op_type == "LayerNormalization")
        model.graph.output.append(helper.make_tensor_value_info(states, TensorProto.FLOAT, None))

    source = _optimum(tmp_path / "optimum")
    _foreign(folder, source / "model.onnx", with_states)
    done = tool("onnx", source, "-o", tmp_path / "out.onnx")
    assert done.exit_code == 0, done.output
    assert "longest input: 64 tokens" in done.output
    assert "are left out" in done.output
    assert read_extras(tmp_path / "out.onnx").labels == ["gut", "嫌い", "🙂"]
    assert difference(outputs(tmp_path / "out.onnx"), outputs(folder / "m.onnx")) < 1e-4
    (source / "model.onnx").rename(source / "a.onnx")
    _foreign(folder, source / "b.onnx")
    assert "has several, a.onnx, b.onnx: name one by --file" in tool("onnx", source, "-o", tmp_path / "o.onnx").output
    assert tool("onnx", source, "--file", "b.onnx", "-o", tmp_path / "o.onnx").exit_code == 0
    assert "--file c.onnx: there is no such file" in tool("onnx", source, "--file", "c.onnx", "-o", tmp_path / "o.onnx").output
    for path in source.glob("*.onnx"):
        path.unlink()
    assert "has no ONNX file" in tool("onnx", source, "-o", tmp_path / "o.onnx").output


def _optimum(source: Path, family: str = "bert") -> Path:
    """A classifier's folder without its weights."""
    make(source, family, ("gut", "嫌い", "🙂"))
    (source / "model.safetensors").unlink()
    return source


def test_a_foreign_graph_takes_the_pairs_that_are_right(folder: Path, tmp_path: Path) -> None:
    """As its folder tells second texts apart: by segments that the graph takes, or by none; whatever the order of its inputs."""

    def reversed_inputs(model: onnx.ModelProto) -> None:
        inputs = list(model.graph.input)
        del model.graph.input[:]
        model.graph.input.extend(reversed(inputs))

    def without_segments(model: onnx.ModelProto) -> None:
        inputs = [value for value in model.graph.input if value.name != "token_type_ids"]
        del model.graph.input[:]
        model.graph.input.extend(inputs)
        zeros = helper.make_node("Sub", ["input_ids", "input_ids"], ["token_type_ids"])
        model.graph.node.insert(0, zeros)

    bert, distil = _optimum(tmp_path / "bert"), _optimum(tmp_path / "distil", "distilbert")
    _foreign(folder, bert / "model.onnx", reversed_inputs)
    _foreign(folder, bert / "single.onnx", without_segments)
    _foreign(folder, distil / "model.onnx", without_segments)
    required = ("--pairs", "required")
    for at, options, pairs in (
        (bert, (), "allowed"),
        (bert, required, "required"),
        (bert, ("--file", "single.onnx"), "refused"),
        (distil, (), "allowed"),
    ):
        done = tool("onnx", at, *options, "-o", tmp_path / "out.onnx")
        assert done.exit_code == 0, done.output
        signature = read_extras(tmp_path / "out.onnx").signature
        assert signature
        assert signature.pairs == pairs
        assert ("of them pairs" in done.output) == (pairs != "refused")
    done = tool("onnx", bert, "--file", "single.onnx", *required, "-o", tmp_path / "other.onnx")
    assert "tells the second text of a pair by token_type_ids, which the graph does not take" in done.output
    assert not (tmp_path / "other.onnx").exists()


def test_a_folder_with_an_onnx_file_alone_is_pointed_to_its_command(folder: Path, tmp_path: Path) -> None:
    """By ``huggingface``, which needs a checkpoint, and where the file is named without what it lacks."""
    source = _optimum(tmp_path / "optimum")
    _foreign(folder, source / "model.onnx")
    done = tool("huggingface", source, "-o", tmp_path / "out.pt")
    assert f"it has model.onnx, which 'models.export onnx {source}' takes" in done.output
    assert len(done.output.splitlines()) == 1
    done = tool("onnx", source / "model.onnx", "-o", tmp_path / "out.onnx")
    assert f"'models.export onnx {source} --file model.onnx' takes all from it" in done.output


def test_weights_that_are_missing_or_too_large_are_one_line(folder: Path, tmp_path: Path) -> None:
    """Before anything is read. One ONNX file holds 2 GB."""
    source = _foreign(folder, tmp_path / "model.onnx", save_as_external_data=True, size_threshold=0, location="model.onnx_data")
    parts = (*_parts(folder, tmp_path), "-o", tmp_path / "out.onnx")
    with (tmp_path / "model.onnx_data").open("r+b") as file:
        file.truncate(1 << 31)
    done = tool("onnx", source, *parts)
    assert "is 2.15 GB with its weights, and one ONNX file holds at most 2.15" in done.output
    (tmp_path / "model.onnx_data").unlink()
    done = tool("onnx", source, *parts)
    assert f"{source} has its weights in model.onnx_data, which must be in {tmp_path} too" in done.output
    assert len(done.output.splitlines()) == 1


def _other_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("position_ids", TensorProto.INT64, ["n", "t"]))


def _custom(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "own.example"
    model.opset_import.append(helper.make_opsetid("own.example", 1))


def _other_output(model: onnx.ModelProto) -> None:
    model.graph.output.extend([helper.make_tensor_value_info(model.graph.node[0].output[0], TensorProto.FLOAT, None)])
    next(value for value in model.graph.output if value.name == "logits").name = "pooled"
    for node in model.graph.node:
        node.output[:] = ["pooled" if name == "logits" else name for name in node.output]


def _four_classes(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 4


def _fixed_batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 8


def _shapeless(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.ClearField("shape")


def _probabilities(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1))
    model.graph.output[0].name = "probabilities"


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (_other_input, "it takes position_ids; the function sends input_ids, attention_mask, token_type_ids"),
        (_custom, "onnxruntime cannot load it"),
        (_other_output, "the output of a classifier must be named logits, or be the only one"),
        (_four_classes, "its output logits has 4 classes, and there are 3 labels"),
        (_fixed_batch, "it takes 8 texts at a time and no other number"),
        (_shapeless, "the graph does not say of what shape logits is"),
        (_probabilities, "gives numbers that add up to 1 for each text: they are probabilities"),
    ],
)
def test_a_foreign_file_that_cannot_run_is_refused_in_one_line(
    folder: Path, tmp_path: Path, edit: Callable[[onnx.ModelProto], None], says: str
) -> None:
    """With the reason; nothing is written."""
    source = _foreign(folder, tmp_path / "model.onnx", edit)
    done = tool("onnx", source, *_parts(folder, tmp_path), "-o", tmp_path / "out.onnx")
    assert done.exit_code == 1
    assert says in done.output
    assert len(done.output.splitlines()) == 1
    assert not (tmp_path / "out.onnx").exists()


def test_a_graph_of_fixed_dimensions_says_what_it_takes(folder: Path, tmp_path: Path) -> None:
    """Texts are padded to its length, and one that takes one text at a time is not said to suffer from padding."""

    def fixed(model: onnx.ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = 1
        for value in model.graph.input:
            value.type.tensor_type.shape.dim[1].dim_value = 16

    source, out = _optimum(tmp_path / "optimum"), tmp_path / "out.onnx"
    file = _foreign(folder, source / "model.onnx", fixed)
    *parts, _, _ = _parts(folder, tmp_path)
    for given in ((source,), (file, *parts)):
        done = tool("onnx", *given, "-o", out)
        assert done.exit_code == 0, done.output
        assert "the graph takes 16 tokens, to which each text is padded" in done.output
        assert "it takes one text at a time, so the agent runs each text alone" in done.output
        done = tool("onnx", *given, "--max-length", "17", "-o", out)
        assert "--max-length 17 is more than the 16 tokens that the graph takes" in done.output


def test_options_that_would_have_no_effect_are_refused(folder: Path, tmp_path: Path) -> None:
    """And so is a padding id that is no token's."""
    source, parts, out = _optimum(tmp_path / "optimum"), _parts(folder, tmp_path), tmp_path / "out.onnx"
    _foreign(folder, source / "model.onnx")
    assert "--tokenizer is for a file alone" in tool("onnx", source, *parts[:2], "-o", out).output
    assert "--file is for a FOLDER" in tool("onnx", source / "model.onnx", "--file", "a", *parts, "-o", out).output
    for pad in ("-7", "100000"):
        done = tool("onnx", source / "model.onnx", *parts, "--pad-id", pad, "-o", out)
        assert f"--pad-id {pad} is no token of the tokenizer" in done.output


def test_what_is_not_onnx_is_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    """And so is another suffix for what stays ONNX."""
    (tmp_path / "model.onnx").write_bytes(b"no protobuf")
    parts = _parts(folder, tmp_path)
    assert "cannot be read as ONNX" in tool("onnx", tmp_path / "model.onnx", *parts, "-o", tmp_path / "out.onnx").output
    assert "the name must end in .onnx" in tool("onnx", folder / "m.onnx", *parts, "-o", tmp_path / "out.pt").output


def test_a_foreign_file_is_served_as_its_pipeline_answers(folder: Path, tmp_path: Path, spawn_agent: SpawnAgent) -> None:
    """With weights in a file beside it: texts and pairs by HTTP, by the command line and by Triton's client, to 1e-4."""
    source, file = _optimum(tmp_path / "optimum"), tmp_path / "mine.onnx"
    _foreign(folder, source / "model.onnx", save_as_external_data=True, size_threshold=0, location="model.onnx_data")
    done = tool("onnx", source, "-o", file)
    assert done.exit_code == 0, done.output
    pairs, labels = PAIRS[:4], ["gut", "嫌い", "🙂"]
    texts: list[Any] = [*pairs, *(pair["text"] for pair in pairs)]
    expected = [pytest.approx(scores, abs=1e-4) for scores in right(folder / "hf", texts)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))
    agent = spawn_agent("--models", str(tmp_path))
    with function_of(tmp_path, agent.addresses["unix"], MODEL=str(file)) as function:
        wait_until_ready(function)
        answers = post(function, {"texts": texts}).json()["predictions"]
        with triton.InferenceServerClient(function.addresses["http"].removeprefix("http://")) as client:
            inputs = client.get_model_metadata("mine")["inputs"]
            columns = [_column(name, [pair[name] for pair in pairs]) for name in ("text", "text_pair")]
            inferred = client.infer("mine", columns).as_numpy("scores")
            for given, says in (
                (columns[1:], "the input text is missing"),
                ([*columns, _column("third", ["a"] * 4)], '"inputs" must hold one tensor, named text'),
                ([columns[0], _column("text_pair", ["a"])], "the shape of text_pair must be that of text"),
                ([columns[0], _column("text_pairs", ["a"] * 4)], 'did you mean "text_pair" by "text_pairs"?'),
            ):
                with pytest.raises(InferenceServerException) as refused:
                    client.infer("mine", given)
                assert says in str(refused.value)
    lines = run(agent, "-m", str(file), "-f", str(tmp_path / "texts.jsonl"), "--format", "jsonl")
    assert [answer["scores"] for answer in answers] == expected
    assert [json.loads(line)["scores"] for line in lines.stdout.strip().split("\n")] == expected
    assert [dict(zip(labels, map(float, row), strict=True)) for row in inferred] == expected[:4]
    assert [(given["name"], given.get("optional", False)) for given in inputs] == [("text", False), ("text_pair", True)]


def _column(name: str, values: list[str]) -> triton.InferInput:
    column = triton.InferInput(name, [len(values)], "BYTES")
    column.set_data_from_numpy(np.array([value.encode() for value in values], dtype=object))
    return column
