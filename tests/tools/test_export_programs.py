"""Programs of torch.export that somebody published: exported with their tokenizer, or refused with what would be right."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from agent.engines.registry import Engines
from tests.tools.test_export import WORDS, export, tokenizer
from vaccel_common.modelfile import read_extras
from vaccel_rpc.tensors import from_values, to_values


class Mean(nn.Module):
    """The mean of the tokens' embeddings, classified."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.head, self.dropout = nn.Embedding(len(WORDS), 8), nn.Linear(8, 2), nn.Dropout(dropout)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        mask = attention_mask.unsqueeze(-1).float()
        mean = (self.embedding(input_ids) * mask).sum(1) / mask.sum(1).clamp(min=1)
        logits: Tensor = self.head(self.dropout(mean))
        return logits


class InDict(Mean):
    """As models of transformers give their logits, with something beside them, and by keyword."""

    def forward(self, *, attention_mask: Tensor, input_ids: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        return {"logits": super().forward(input_ids, attention_mask), "mask": attention_mask}


class OtherNames(Mean):
    """What its author calls the inputs is not what they are called elsewhere."""

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor]:  # type: ignore[override]
        return (super().forward(ids, mask),)


class TwoOutputs(Mean):
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        logits = super().forward(input_ids, attention_mask)
        return logits, logits


class Nested(nn.Module):
    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return inputs["input_ids"].float().sum(1, keepdim=True).repeat(1, 2)


class Floats(nn.Module):
    def forward(self, input_ids: Tensor) -> Tensor:
        return input_ids.sum(1, keepdim=True).repeat(1, 2)


class Optional(nn.Module):
    def forward(self, input_ids: Tensor, weights: Tensor | None = None) -> Tensor:
        return input_ids.float().sum(1, keepdim=True).repeat(1, 2) if weights is None else weights


_IDS = torch.ones(4, 5, dtype=torch.int64)
_ANY: dict[int, Any] = {0: Dim("n"), 1: Dim("t")}
_ONE = torch.ones(1, 5, dtype=torch.int64)


def _saved(path: Path, module: nn.Module, *args: Any, dims: Any = None, **kwargs: Any) -> Path:
    """A program of torch.export without extra files. Its examples are copies: torch takes one that is there twice for one input."""
    args, kwargs = tuple(map(copy.deepcopy, args)), {name: copy.deepcopy(value) for name, value in kwargs.items()}
    torch.export.save(torch.export.export(module, args, kwargs, dynamic_shapes=dims), path)
    return path


#: What is published -> how it is made.
PROGRAMS: Mapping[str, Callable[[Path], Path]] = {
    "any shape": lambda path: _saved(path, Mean().eval(), _IDS, _IDS, dims=(_ANY, _ANY)),
    "any shape, automatically": lambda path: _saved(path, Mean().eval(), _IDS, _IDS, dims=({0: Dim.AUTO, 1: Dim.DYNAMIC},) * 2),
    "32-bit ids": lambda path: _saved(path, Mean().eval(), _IDS.int(), _IDS.int(), dims=(_ANY, _ANY)),
    "a dict, by keyword": lambda path: _saved(
        path, InDict().eval(), attention_mask=_IDS, input_ids=_IDS, dims={"attention_mask": _ANY, "input_ids": _ANY}
    ),
    "other names": lambda path: _saved(path, OtherNames().eval(), _IDS, _IDS, dims=(_ANY, _ANY)),
    "5 tokens": lambda path: _saved(path, Mean().eval(), _IDS, _IDS, dims=({0: Dim("n")},) * 2),
    "one text of up to 12 tokens": lambda path: _saved(path, Mean().eval(), _ONE, _ONE, dims=({1: Dim("t", max=12)},) * 2),
    "one text of 5 tokens": lambda path: _saved(path, Mean().eval(), _ONE, _ONE),
}


def export_bare(program: Path, out: Path, *options: str, command: str = "torchexport") -> Any:
    """The command, with a tokenizer and two labels."""
    tokenizer().save(str(program.parent / "tokenizer.json"))
    (program.parent / "labels.json").write_text('["yes", "no"]')
    parts = ("--tokenizer", str(program.parent / "tokenizer.json"), "--labels", str(program.parent / "labels.json"))
    return export(command, str(program), *parts, "-o", str(out), *options)


@pytest.mark.parametrize("form", [".pt2", ".onnx"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_becomes_a_model_file(name: str, form: str, tmp_path: Path) -> None:
    """Of both forms that can be made of it; the agent's answer is that of the module itself."""
    out = tmp_path / f"m{form}"
    done = export_bare(PROGRAMS[name](tmp_path / "bare.pt2"), out)
    assert done.exit_code == 0, done.output
    signature = read_extras(out).signature
    assert signature is not None
    ids, mask = [2, 3, 1, 0, 0], [1, 1, 1, 0, 0]
    request = [from_values(spec.dtype, [1, 5], ids if spec.name == "input_ids" else mask) for spec in signature.inputs]
    engines = Engines()
    engines.open("cpu", 1)
    ((answer,),) = engines.load(out).run([request], alone=True).outputs
    expected = Mean().eval()(torch.tensor([ids]), torch.tensor([mask]))
    assert np.allclose(to_values(answer), expected.detach().flatten(), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "longest", "batch", "length"),
    [("any shape", 512, "n", "t"), ("5 tokens", 5, "n", None), ("one text of up to 12 tokens", 12, None, "t"),
     ("one text of 5 tokens", 5, None, None)],
)  # fmt: skip
def test_the_signature_has_the_programs_sizes(
    name: str, longest: int, batch: str | None, length: str | None, tmp_path: Path
) -> None:
    """A text is never longer than what the program was exported for, and what is fixed is not joined or padded."""
    export_bare(PROGRAMS[name](tmp_path / "bare.pt2"), tmp_path / "m.pt2")
    signature = read_extras(tmp_path / "m.pt2").signature
    assert signature is not None
    assert (signature.max_length, signature.batch, signature.length) == (longest, batch, length)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: _saved(path, Mean().eval(), _IDS, _IDS), "it takes 4 texts at a time and no other number"),
        (lambda path: _saved(path, Mean().eval().bfloat16(), _IDS, _IDS), "its weights are bfloat16, in which it computes"),
        (lambda path: _saved(path, TwoOutputs().eval(), _IDS, _IDS), "it gives 2 outputs"),
        (lambda path: _saved(path, Nested(), {"input_ids": _IDS}), "its inputs are in lists or dicts"),
        (lambda path: _saved(path, Floats(), _IDS.float()), "input_ids is float32 with 2 dimensions"),
        (lambda path: _saved(path, Optional(), _IDS, None), "forward was exported with None among its inputs"),
        (lambda path: _saved(path, Floats(), _IDS, dims=({0: Dim("n", min=3)},)), "it takes at least 3 texts at a time"),
    ],
)  # fmt: skip
def test_what_is_no_classifier_of_tokens_is_refused(make: Callable[[Path], Path], says: str, tmp_path: Path) -> None:
    """In one line, which says what is wrong, and nothing is written."""
    done = export_bare(make(tmp_path / "bare.pt2"), tmp_path / "m.onnx")
    assert says in done.output
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert not (tmp_path / "m.onnx").exists()


def test_padding_is_of_the_token_ids(tmp_path: Path) -> None:
    """Wherever among the inputs they are."""
    export_bare(PROGRAMS["a dict, by keyword"](tmp_path / "bare.pt2"), tmp_path / "m.pt2", "--pad", "1")
    signature = read_extras(tmp_path / "m.pt2").signature
    assert signature is not None
    assert [(spec.name, spec.pad) for spec in signature.inputs] == [("attention_mask", 0), ("input_ids", 1)]


def test_no_more_tokens_than_the_program_takes_can_be_chosen(tmp_path: Path) -> None:
    """The agent would run it, since it has no guards, with positions that the model does not have."""
    program = PROGRAMS["one text of up to 12 tokens"](tmp_path / "bare.pt2")
    assert (
        "--max-length 13 is more than the 12 tokens that the program takes"
        in export_bare(program, tmp_path / "m.pt2", "--max-length", "13").output
    )


@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
def test_a_model_in_training_mode_is_told_apart(suffix: str, tmp_path: Path) -> None:
    """Its own answers differ, so that no file could agree with it."""
    module, bare = Mean(0.5).train(), tmp_path / f"bare{suffix}"
    if suffix == ".pt":
        torch.jit.save(torch.jit.trace(module, (_IDS, _IDS), check_trace=False), str(bare))
    else:
        _saved(bare, module, _IDS, _IDS, dims=(_ANY, _ANY))
    done = export_bare(bare, tmp_path / "m.onnx", command="torchscript" if suffix == ".pt" else "torchexport")
    assert "gives other answers to the same text each time" in done.output
    assert "model.eval()" in done.output


def test_each_command_names_the_other_for_its_files(tmp_path: Path) -> None:
    """By what is in the file, and not by its name."""
    script = tmp_path / "script.pt2"
    torch.jit.save(torch.jit.trace(Mean().eval(), (_IDS, _IDS)), str(script))
    program = PROGRAMS["any shape"](tmp_path / "program.pt2").rename(tmp_path / "program.pt")
    done = export_bare(script, tmp_path / "m.onnx")
    assert done.output == f"Error: {script} is a TorchScript file: 'python -m models.export torchscript' takes it\n"
    for command in ("torchscript", "pt2"):
        options = ("-o", str(tmp_path / "m.pt2")) if command == "pt2" else ()
        done = export(command, str(program), *options) if options else export_bare(program, tmp_path / "m.pt", command=command)
        assert done.output == f"Error: {program} is a program of torch.export: 'python -m models.export torchexport' takes it\n"


@pytest.mark.parametrize(("command", "suffix"), [("torchscript", ".pt2"), ("torchexport", ".pt")])
def test_a_form_that_torch_cannot_make_is_refused_at_once(command: str, suffix: str, tmp_path: Path) -> None:
    """Before anything is read."""
    (tmp_path / "bare").write_text("")
    done = export_bare(tmp_path / "bare", tmp_path / f"m{suffix}", command=command)
    assert (
        done.output
        == f"Error: --out {tmp_path / f'm{suffix}'}: the name must end in {'.pt' if suffix == '.pt2' else '.pt2'} or .onnx\n"
    )


def test_a_program_that_could_run_code_is_not_loaded(tmp_path: Path) -> None:
    """An archive is looked through before torch reads it, as the agent does."""
    program = PROGRAMS["any shape"](tmp_path / "bare.pt2")
    spoilt = program.read_bytes().replace(b"torch.ops.aten.embedding.default", b"torch.ops.aten.from_file.default")
    assert spoilt != program.read_bytes()
    program.write_bytes(spoilt)
    done = export_bare(program, tmp_path / "m.onnx")
    assert (
        f"{program} is not a program of torch.export: the file has a call of 'torch.ops.aten.from_file.default', which uses files"
        in done.output
    )
    assert done.exit_code == 1
