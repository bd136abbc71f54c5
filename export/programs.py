"""Programs of torch without tokenizer and labels, as others publish them: what they take, and how each is called."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agent.engines.torch.archive import check
from export.archive import SOURCES, read_script
from export.forms import FORMS
from export.refusal import Refused, reading, require_kind
from export.weights import stored

#: What can be made of a TorchScript module, and of a program of torch.export: torch turns neither into the other.
SCRIPT_FORMS = {suffix: FORMS[suffix] for suffix in (".pt", ".onnx")}
EXPORT_FORMS = {suffix: FORMS[suffix] for suffix in (".pt2", ".onnx")}
_DTYPES = {torch.int64: "int64", torch.int32: "int32"}


#: What an input is for, by a part of the name that an author may have given it; None: nothing that the function has.
_PURPOSES: dict[str, str | None] = {
    "pos": None,
    "label": None,
    "head": None,
    "embed": None,
    "cache": None,
    "past": None,
    "mask": "attention_mask",
    "type": "token_type_ids",
    "seg": "token_type_ids",
}


@dataclass(frozen=True)
class Input:
    """An input of a module, as ``signature.json`` has them; ``name``: what ``forward`` calls it."""

    name: str
    dtype: str = "int64"
    dims: tuple[str | int, str | int] = ("n", "t")

    @property
    def tensors(self) -> Sequence[str]:
        """Those of the function's tensors that an input of this name may be: all, where it says nothing."""
        if self.name in SOURCES:
            return [self.name]
        purposes = [purpose for part, purpose in _PURPOSES.items() if part in self.name.lower()]
        return [purpose for purpose in purposes[:1] if purpose] if purposes else list(SOURCES)


@dataclass(frozen=True)
class BareModule:
    """A module and its inputs in their order.

    ``longest``: the tokens of a text at most, where the program says so.
    """

    module: nn.Module
    inputs: Sequence[Input]
    longest: int | None = None

    @property
    def texts(self) -> str | int:
        """The batch dimension: n, or the number of texts where it is fixed."""
        return next((each.dims[0] for each in self.inputs if isinstance(each.dims[0], int)), "n")

    @property
    def length(self) -> int | None:
        """The tokens of each text where the module takes no other number of them."""
        return next((each.dims[1] for each in self.inputs if isinstance(each.dims[1], int)), None)


class ExportedModule(nn.Module):
    """A program of torch.export as a module: int tensors [n, t] by their place -> its logits, float32 [n, classes].

    Raises `Refused` where the program has other inputs than tensors, or several outputs of which none is called logits.
    """

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        super().__init__()
        # Guards would be code made of the file's text; the agent runs it without them, too.
        self.program = program.module(check_guards=False)
        signature, calls = program.graph_signature, program.call_spec
        self.names = [str(name) for name in signature.user_inputs]
        self._args, self._kwargs = calls.in_spec.unflatten(self.names)
        if not all(isinstance(name, str) for name in (*self._args, *self._kwargs.values())):
            raise Refused("its inputs are in lists or dicts: forward must take each tensor by itself")
        if _logits(calls.out_spec.unflatten([str(name) for name in signature.user_outputs])) is None:
            raise Refused(
                f"it gives {len(signature.user_outputs)} outputs: a classifier's must be in a dict as logits, or be the only one"
            )

    def forward(self, *inputs: Tensor) -> Tensor:
        """The logits."""
        given = dict(zip(self.names, inputs, strict=True))
        outputs = self.program(*(given[name] for name in self._args), **{key: given[name] for key, name in self._kwargs.items()})
        logits: Tensor = _logits(outputs)
        return logits

    def train(self, mode: bool = True) -> ExportedModule:  # noqa: ARG002 as torch has it
        """Nothing: a program stays in the mode in which it was exported, and torch's raises an error."""
        return self


def _logits(outputs: Any) -> Any:
    """The one of a program's outputs that is its logits; None where it does not say which."""
    if isinstance(outputs, dict):
        return outputs.get("logits", _only(list(outputs.values())))
    return _only(outputs) if isinstance(outputs, tuple | list) else outputs


def _only(outputs: Sequence[Any]) -> Any:
    return _logits(outputs[0]) if len(outputs) == 1 else None


def read_torchscript(path: Path) -> BareModule:
    """The TorchScript module in a file. Raises `Refused` where it is none."""
    program: Any = read_script(path)
    if not hasattr(program, "forward"):
        raise Refused(f"{path}: the module has no forward")
    # The module itself comes first, whatever its author called it.
    _, *arguments = program.forward.schema.arguments

    def is_ours(argument: Any) -> bool:
        return len(Input(argument.name).tensors) == 1

    # What need not be given, such as labels, is left out where the function has nothing for it.
    given = list(itertools.takewhile(lambda each: is_ours(each) or not each.has_default_value(), arguments))
    if behind := [argument.name for argument in arguments[len(given) :] if is_ours(argument)]:
        left = arguments[len(given)].name
        raise Refused(
            f"{path}: forward takes {behind[0]} behind {left}, which the function does not have: trace it without {left}"
        )
    kind: Any = program.forward.schema.returns[0].type
    if kind.kind() == "TupleType" and len(kind.elements()) > 1:
        raise Refused(f"{path}: it gives {len(kind.elements())} outputs: a classifier's must be the only one")
    inputs = {argument.name: str(argument.type) for argument in given}
    for name, given_type in inputs.items():
        if given_type not in ("Tensor", "Optional[Tensor]"):
            raise Refused(f"{path}: forward takes {name} of type {given_type}: it must take tensors alone")
    return BareModule(program, [Input(name) for name in inputs])


def read_torchexport(path: Path) -> BareModule:
    """The program of torch.export in a file, which is loaded only if it is weights and a graph of torch's operators.

    Raises `Refused` where it is none, or takes and gives what no classifier of tokens does.
    """
    require_kind(path, "export")
    with reading(path, "a program of torch.export"):
        check(path)
        with path.open("rb") as file:  # torch would want the suffix
            program = torch.export.load(file)
    if any(value.is_floating_point() and value.dtype != torch.float32 for value in program.state_dict.values()):
        raise Refused(f"{path}: its weights are {stored(program)}, in which it computes: export it in float32 (model.float())")
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    try:
        module = ExportedModule(program)
        inputs = [_input(name, values.get(name)) for name in module.names]
        longest = _longest([values[name].shape for name in module.names], program.range_constraints)
    except Refused as error:
        raise Refused(f"{path}: {error.message}") from None
    return BareModule(module, inputs, longest)


def _longest(shapes: Sequence[torch.Size], ranges: Mapping[Any, Any]) -> int | None:
    """The tokens of a text at most, if there is a limit; ``ranges``: the bounds of each size that varies.

    Raises `Refused` where a text cannot be alone.
    """
    bounds = {str(size): (str(between.lower), str(between.upper)) for size, between in ranges.items()}
    for texts, _ in shapes:
        fewest, _ = bounds.get(str(texts), ("", ""))
        # torch calls 2 the least of a size that only it has chosen to vary, and then runs 1 too.
        if fewest.isdigit() and int(fewest) > 2:
            raise Refused(f"it takes at least {fewest} texts at a time, where there may be one: export it with Dim(..., min=1)")
    limits = [bounds.get(str(length), ("", str(length)))[1] for _, length in shapes]
    return min((int(limit) for limit in limits if limit.isdigit()), default=None)


def _input(name: str, value: Any) -> Input:
    """An input by the example of it that the program keeps."""
    if not isinstance(value, Tensor):
        raise Refused(f"forward was exported with {name} among its inputs: it must take tensors alone")
    if value.ndim != 2 or value.dtype not in _DTYPES:
        dtype = str(value.dtype).removeprefix("torch.")
        raise Refused(f"{name} is {dtype} with {value.ndim} dimensions; [n, t] of int64 or int32 is expected")
    texts, length = (size if isinstance(size, int) else any_size for size, any_size in zip(value.shape, ("n", "t"), strict=True))
    return Input(name, _DTYPES[value.dtype], (texts, length))
