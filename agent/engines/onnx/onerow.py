"""Computes what a classifier reads of one token for that token alone.

Most classifiers read the states of the first token: the pooler of BERT and the heads of RoBERTa,
DistilBERT, ELECTRA and others do. Of the last layer that token needs the keys and values of all
tokens, and everything else of itself alone: its query, its attention, its linear layers. The others'
are left out, which is most of a layer. The answers are the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from agent.engines.onnx.rewriting import GraphRewriting
from agent.engines.onnx.rules import Facts, axis_of, captured, is_product, picked

#: Operators of sizes, and of views, whose sizes are an input.
_SHAPE, _RESHAPE = "Shape", "Reshape"
_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True)
class OneRow:
    """The first (``place`` 0) or the last (-1) entry of dimension ``axis``."""

    axis: int
    place: int


def reduce(model: onnx.ModelProto, facts: Facts) -> int:
    """Lets ``model`` compute one row where no more is read, and returns how many of its products do.

    ``facts``: of all its tensors. The model is changed in place; where the answer is 0 it is as it was.
    """
    rows = _rows(model.graph, facts)
    products = sum(is_product(node) and node.output[0] in rows for node in model.graph.node)
    if products:
        _OneRowGraph(model.graph, facts, rows).write()
    return products


def reads_one_row(graph: onnx.GraphProto) -> bool:
    """Whether anything in the graph may read one row of a tensor that is not a list of sizes; no more is known."""
    constants = {tensor.name for tensor in graph.initializer}
    constants |= {node.output[0] for node in graph.node if node.op_type == "Constant"}
    sizes = {node.output[0] for node in graph.node if node.op_type == _SHAPE} | constants
    readers = (node for node in graph.node if node.op_type in ("Gather", "Slice") and len(node.input) > 1)
    return any(node.input[0] not in sizes and node.input[1] in constants for node in readers)


def _rows(graph: onnx.GraphProto, facts: Facts) -> dict[str, OneRow]:
    """The tensors of which one row is read, and whose operators compute that from one row of others."""
    users = _users(graph)
    whole = {value.name for value in graph.output} | set(captured(graph.node))
    rows: dict[str, OneRow] = {}
    # Users follow: what is read of their outputs is known before their inputs are looked at.
    for node in reversed(graph.node):
        names = [name for name in node.output if name and (name in whole or users[name])]
        if not names or whole & set(names):
            continue
        read = {
            _read(user, index, rows, facts)
            for name in names
            for user, index in users[name]
            if user.op_type != _SHAPE or user.attribute
        }
        if len(read) == 1 and (row := read.pop()) and any(_axes(node, row.axis, facts)):
            rows |= dict.fromkeys(names, row)
    return rows


def _read(user: onnx.NodeProto, index: int, rows: dict[str, OneRow], facts: Facts) -> OneRow | None:
    """What an operator reads of an input; None for more than one row."""
    if index == 0 and (place := picked(user, facts)):
        return OneRow(*place)
    row = next((rows[name] for name in user.output if name in rows), None)
    if row is None:
        return None
    axis = axis_of(user, index, row.axis, facts)
    return None if axis is None else OneRow(axis, row.place)


def _axes(node: onnx.NodeProto, axis: int, facts: Facts) -> Iterator[bool]:
    return (axis_of(node, index, axis, facts) is not None for index in range(len(node.input)))


def _users(graph: onnx.GraphProto) -> dict[str, list[tuple[onnx.NodeProto, int]]]:
    users: dict[str, list[tuple[onnx.NodeProto, int]]] = defaultdict(list)
    for node in graph.node:
        for index, name in enumerate(node.input):
            users[name].append((node, index))
    return users


class _OneRowGraph(GraphRewriting):
    """Writes the operators between which one row passes.

    Their tensors keep their names, and have size 1 in the row's dimension.
    """

    def __init__(self, graph: onnx.GraphProto, facts: Facts, rows: dict[str, OneRow]) -> None:
        super().__init__(graph)
        self._facts, self._rows = facts, rows
        #: Of each such tensor, a tensor with the size that the dimension had, and where it has it.
        self._full: dict[str, tuple[str, int]] = {}
        self._cuts: dict[tuple[str, OneRow], str] = {}

    def write(self) -> None:
        for node in self.copies():
            names = [name for name in node.output if name in self._rows]
            if node.op_type == _SHAPE and node.input[0] in self._full:
                self._keep_sizes(node)
            elif names:
                self._one_row(node, names)
            else:
                self.nodes.append(node)
        self.finish()

    def _one_row(self, node: onnx.NodeProto, names: list[str]) -> None:
        row = self._rows[names[0]]
        axes = {index: axis_of(node, index, row.axis, self._facts) for index in range(len(node.input))}
        for index, axis in axes.items():
            if axis is None:
                continue
            source = node.input[index]
            for name in names:
                self._full.setdefault(name, self._full.get(source, (source, axis)))
            if source not in self._rows:
                node.input[index] = self._cut(source, OneRow(axis, row.place))
        if node.op_type == _RESHAPE:
            node.input[1] = self._with_one(node.input[1], row.axis, self._facts.rank(names[0]))
        self.nodes.append(node)

    def _cut(self, source: str, row: OneRow) -> str:
        """The row of a tensor that is computed whole."""
        if (source, row) not in self._cuts:
            start, end = (0, 1) if row.place == 0 else (-1, _FAR)
            bounds = [self.constant(f"{source}_{key}_{row.axis}", [value]) for key, value in (("from", start), ("to", end))]
            axis = self.constant(f"{source}_of_{row.axis}", [row.axis])
            self._cuts[source, row] = self.new("Slice", [source, *bounds, axis], f"{source}_row_{row.axis}")
        return self._cuts[source, row]

    def _with_one(self, sizes: str, axis: int, rank: int) -> str:
        """The sizes of a view, with 1 in place of that of a dimension."""
        return self._replaced(sizes, axis, rank, self.constant(f"{sizes}_one_{axis}", [1]), f"{sizes}_with_one_{len(self.nodes)}")

    def _keep_sizes(self, node: onnx.NodeProto) -> None:
        """Sizes are those from before: other dimensions may be computed from them."""
        source, name = node.input[0], node.output[0]
        self.new(_SHAPE, [source], f"{name}_of_row")
        full, at = self._full[source]
        whole = self.new(_SHAPE, [full], f"{name}_of_all")
        size = self.new("Gather", [whole, self.constant(f"{name}_at", [at])], f"{name}_size")
        self._replaced(f"{name}_of_row", self._rows[source].axis, self._facts.rank(source), size, name)

    def _replaced(self, sizes: str, axis: int, rank: int, size: str, name: str) -> str:
        """``name``: the list ``sizes``, of ``rank`` numbers, with ``size`` for that of ``axis``."""
        first = self.constant(f"{name}_axis", [0])
        parts = []
        for key, start, end in (("before", 0, axis), ("after", axis + 1, rank)):
            bounds = [self.constant(f"{name}_{key}_{i}", [value]) for i, value in enumerate((start, end))]
            parts.append(self.new("Slice", [sizes, *bounds, first], f"{name}_{key}"))
        return self.new("Concat", [parts[0], size, parts[1]], name, axis=0)
