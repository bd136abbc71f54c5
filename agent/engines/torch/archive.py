"""What a torch.export file (``.pt2``) may hold: weights, extra files, and a graph of torch's operators.

``torch.export.load`` runs more than that. It unpickles the sample inputs (with everything that a
pickle may do, where loading them as weights fails), weights and constants that are marked as
pickled, and custom objects; it loads compiled libraries, and calls whatever function of torch the
graph names. Expressions of sizes are evaluated as Python, and names become part of a Python source.
So the archive is looked through before torch loads it, by torch's own reader: another one might see
other entries. Source: torch 2.13, ``torch/export/pt2_archive`` and ``torch/_export/serde``.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from vaccel_rpc.errors import InvalidArgument

_GRAPH, _SAMPLES = "models/model.json", "data/sample_inputs/model.pt"
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_ENTRY = re.compile(
    r"archive_format|archive_version|byteorder|version|\.format_version|\.storage_alignment|\.data/(serialization_id|version)|extra/.+"
    rf"|{re.escape(_GRAPH)}|{re.escape(_SAMPLES)}|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)"
)
_PAYLOAD = re.compile(r"weight_\d+|tensor_\d+")
#: Names in a graph: of tensors, parameters, symbols, versions.
_NAME = re.compile(r"[\w.+-]*", re.ASCII)
_OPERATOR = re.compile(r"torch\.ops\.(aten|prims|quantized|quantized_decomposed)\.(\w+)\.(\w+)", re.ASCII)
#: Functions of sizes and numbers, and operators that run a part of the graph.
_FUNCTION = re.compile(
    r"math\.[a-z]\w*|torch\.sym_[a-z]+"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|xor|not_|getitem)"
    r"|torch\.ops\.higher_order\.(wrap_with_set_grad_enabled|wrap_with_autocast|cond|map_impl|while_loop|scan)",
    re.ASCII,
)
_EXPRESSION = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
    ast.Name, ast.Load, ast.keyword,
)  # fmt: skip
#: What expressions of sizes call: the classes of sympy and torch, such as Mul, Symbol and FloorDiv.
_CALLED = re.compile(r"[A-Z]\w*|floor|ceiling|sqrt|log|exp", re.ASCII)
#: Kinds of containers in the description of a model's inputs and outputs.
_CONTAINERS = ("builtins.tuple", "builtins.list", "builtins.dict", None)


def check(path: Path) -> None:
    """Raises `InvalidArgument`, naming the entry, where loading the file could run code of its own."""
    reader = torch._C.PyTorchFileReader(str(path))  # noqa: SLF001 torch.export's own reader
    names = reader.get_all_records()
    with zipfile.ZipFile(path) as archive:
        inside = [info.filename.partition("/")[2] for info in archive.infolist()]
        if sorted(inside) != sorted(names) or len(set(names)) != len(names):
            raise _refused("entries that its readers do not agree on")
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise _refused("compressed entries")
    for name in names:
        if not _ENTRY.fullmatch(name):
            raise _refused(f"the entry {name[:100]!r}")
    for name in _CONFIGS:
        _check_payloads(name, _parsed(name, reader.get_record(name)))
    _check_samples(reader.get_record(_SAMPLES))
    _walk(_parsed(_GRAPH, reader.get_record(_GRAPH)))


def _refused(what: str) -> InvalidArgument:
    return InvalidArgument(f"the file has {what}: of a .pt2 only weights and a graph of torch's own operators are loaded")


def _parsed(name: str, data: bytes) -> Any:
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError):
        raise InvalidArgument(f"{name} in the file is not valid JSON") from None


def _check_payloads(name: str, config: Any) -> None:
    payloads = config.get("config") if isinstance(config, dict) else None
    if not isinstance(payloads, dict) or not all(isinstance(payload, dict) for payload in payloads.values()):
        raise InvalidArgument(f"{name} in the file does not describe weights")
    for payload in payloads.values():
        if payload.get("use_pickle") is not False or not _PAYLOAD.fullmatch(str(payload.get("path_name"))):
            raise _refused(f"the pickle {str(payload.get('path_name'))[:100]!r}")
    _walk(config)


def _check_samples(data: bytes) -> None:
    """Nothing is left to torch's second attempt, which unpickles whatever the first one refused."""
    if not data:
        return
    try:
        samples = torch.load(io.BytesIO(data), weights_only=True)
    except Exception:  # noqa: BLE001 whatever is wrong with it, torch would unpickle it
        raise _refused(f"a pickle of more than tensors ({_SAMPLES})") from None
    if not isinstance(samples, tuple | dict):
        raise _refused(f"sample inputs of type {type(samples).__name__}")


def _walk(value: Any, key: str = "") -> None:
    """Checks every text below ``value``, by the ``key`` that has it."""
    if isinstance(value, dict):
        if key == "metadata" and all(isinstance(text, str) for text in value.values()):
            return  # where a node comes from, for people
        for name, inner in value.items():
            _check_name(name)
            _walk(inner, name)
    elif isinstance(value, list):
        if key == "guards_code":
            return  # the agent has no code made of guards
        for inner in value:
            _walk(inner, key)
    elif isinstance(value, str):
        _CHECKS.get(key, _check_name)(value)


def _check_name(text: str) -> None:
    if not _NAME.fullmatch(text):
        raise _refused(f"the name {text[:100]!r}")


def _check_target(text: str) -> None:
    if _FUNCTION.fullmatch(text):
        return
    match = _OPERATOR.fullmatch(text)
    operator: Any = torch.ops
    for part in match.groups() if match else ():
        operator = getattr(operator, part, None)
    if not isinstance(operator, torch._ops.OpOverload):  # noqa: SLF001 it has no other name
        raise _refused(f"a call of {text[:100]!r}")
    if any(argument.name == "filename" for argument in operator._schema.arguments):  # noqa: SLF001 as above
        raise _refused(f"a call of {text[:100]!r}, which uses files")


def _check_expression(text: str) -> None:
    """Numbers, names, operators, and calls of functions of numbers."""
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        nodes = [ast.AST()]
    if not all(_is_arithmetic(node) for node in nodes):
        raise _refused(f"the expression {text[:100]!r}")


def _is_arithmetic(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and _CALLED.fullmatch(node.func.id) is not None
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) or (isinstance(node.value, str) and node.value.isidentifier())
    return isinstance(node, _EXPRESSION)


def _check_containers(text: str) -> None:
    """The description of inputs or outputs, JSON in a text; a dict's keys are JSON in it once more."""
    _check_container(_parsed("a description of inputs or outputs", text.encode()))


def _check_container(spec: Any) -> None:
    if isinstance(spec, list):
        for inner in spec:
            _check_container(inner)
    elif isinstance(spec, Mapping):
        kind, context = spec.get("type"), spec.get("context")
        keys = _parsed("a description of inputs or outputs", context.encode()) if isinstance(context, str) else context
        if kind not in _CONTAINERS or not (keys is None or _are_names(keys)):
            raise _refused(f"inputs or outputs in a {str(kind)[:100]!r}")
        _check_container(spec.get("children_spec") or [])


def _are_names(keys: Any) -> bool:
    return isinstance(keys, Iterable) and all(isinstance(key, str) and key.isidentifier() for key in keys)


def _is_text(text: str) -> None:
    """An argument of an operator, which stays a text: torch quotes it."""


_CHECKS = {
    "target": _check_target,
    "as_operator": _check_target,
    "expr_str": _check_expression,
    "in_spec": _check_containers,
    "out_spec": _check_containers,
    "as_string": _is_text,
    "as_strings": _is_text,
}
