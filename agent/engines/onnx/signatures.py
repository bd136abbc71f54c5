"""The signature of an ONNX model: checked against the graph, or made from it.

A file that others wrote has none. Optimum's, which are the most common, have the inputs
``input_ids``, ``attention_mask`` and perhaps ``token_type_ids`` of [batch, sequence].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vaccel_common.modelfile import Dim, Signature, TensorSpec
from vaccel_rpc.errors import InvalidArgument
from vaccel_rpc.tensors import DTYPES

_TYPES = {"tensor(float)": "float32"} | {f"tensor({name})": name for name in DTYPES if name != "float32"}
#: Inputs of models of texts, each of [batch, sequence].
_TEXT = {"input_ids", "attention_mask", "token_type_ids", "position_ids"}
_BATCH, _LENGTH = "batch", "sequence"


def check(signature: Signature, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
    """Raises `InvalidArgument` where the signature is not that of a graph with these.

    ``inputs``, ``outputs``: onnxruntime's ``NodeArg``.
    """
    _check("input", signature.inputs, inputs)
    _check("output", signature.outputs, outputs)
    if missing := {arg.name for arg in inputs} - {spec.name for spec in signature.inputs}:
        raise InvalidArgument(f"signature.json lacks the graph's input {min(missing)!r}")


def derived(name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> Signature:
    """The signature of a graph with these; ``name``: the model's.

    Raises `InvalidArgument` for a type that vAccel does not have, and for a graph without outputs.
    """
    if not outputs:
        raise InvalidArgument("the graph has no outputs")
    is_text = {arg.name for arg in inputs} <= _TEXT and all(len(arg.shape) == 2 for arg in inputs)
    if is_text:
        # The same dimension may have another name in each input, or none.
        names = {dim: name for arg in inputs for dim, name in zip(arg.shape, (_BATCH, _LENGTH), strict=True) if _named(dim)}
        dims = [
            [dim if isinstance(dim, int) else name for dim, name in zip(arg.shape, (_BATCH, _LENGTH), strict=True)]
            for arg in inputs
        ]
    else:
        names = {}
        dims = [_dims(arg, names) for arg in inputs]
    batch = _common([own[0] if own else None for own in dims])
    out = [_dims(arg, names) for arg in outputs]
    for own in out:
        # What the rows of an output are called says nothing: the trial of padding does.
        if batch and own and not isinstance(own[0], int):
            own[0] = batch
    return Signature(
        name=name,
        problem_type="single_label_classification",
        max_length=None,
        inputs=tuple(_spec("input", arg, own) for arg, own in zip(inputs, dims, strict=True)),
        outputs=tuple(_spec("output", arg, own) for arg, own in zip(outputs, out, strict=True)),
        batch=batch,
        length=_LENGTH if is_text and _common([own[1] for own in dims]) else None,
    )


def _check(kind: str, specs: Sequence[TensorSpec], args: Sequence[Any]) -> None:
    known = {arg.name: arg for arg in args}
    for spec in specs:
        if spec.name not in known:
            raise InvalidArgument(f"signature.json has the {kind} {spec.name!r}; those of the graph are {', '.join(known)}")
        own = _spec(kind, known[spec.name], _dims(known[spec.name], {}))
        if own.dtype != spec.dtype or (own.dims and len(own.dims) != len(spec.dims)):
            raise InvalidArgument(
                f"signature.json: {kind} {spec.name!r} is {spec.dtype} {list(spec.dims)}; the graph has {own.dtype} {list(own.dims)}"
            )


def _spec(kind: str, arg: Any, dims: Sequence[Dim]) -> TensorSpec:
    if arg.type not in _TYPES:
        raise InvalidArgument(f"{kind} {arg.name!r} is {arg.type}; vAccel has only {', '.join(DTYPES)}")
    return TensorSpec(arg.name, _TYPES[arg.type], tuple(dims))


def _dims(arg: Any, names: dict[str, str]) -> list[Dim]:
    """The dimensions of an input or output; one without a name gets one of its own."""
    return [
        dim if isinstance(dim, int) else names.get(dim, dim) if _named(dim) else f"{arg.name}.{at}"
        for at, dim in enumerate(arg.shape)
    ]


def _named(dim: Any) -> bool:
    return isinstance(dim, str) and bool(dim)


def _common(dims: Sequence[Dim | None]) -> str | None:
    """The name that all have; None where they differ, or it is a size."""
    first = dims[0] if dims else None
    return first if isinstance(first, str) and all(dim == first for dim in dims) else None
