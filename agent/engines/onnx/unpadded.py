"""Computes token by token what can be, for the tokens alone and not for padding.

In a batch of [batch, sequence] a short text is padded to the longest. Linear layers, norms and
activations, which are nearly all of a transformer's time, treat each token on its own: they run on
one row of all tokens of all texts, [1, tokens, ...]. Around attention, which is between the tokens
of a text, the texts are padded again. All positions count as tokens of a text whose mask is 0
throughout, or has another 0 than those at its end. A model whose answers padding at the end does not
change gives the same answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx

from agent.engines.onnx.rewriting import GraphRewriting
from agent.engines.onnx.rules import Dims, Facts, axis_of, captured, is_product

#: The first version of ONNX with CumSum and Range.
_OLDEST = 11
_RESHAPE, _SHAPE = "Reshape", "Shape"
#: Names of what is computed once: the places of the tokens among all positions, the token of each
#: position (of padding, the one before), and the numbers of texts and positions.
_PLACES, _TOKENS, _SIZES = "unpadded.places", "unpadded.tokens", "unpadded.sizes"
#: The name of a constant list of the number 1.
_ONE = "unpadded.one"


@dataclass(frozen=True)
class Texts:
    """The input that is 0 for padding, int64 [batch, sequence], and the sizes of both in each run of the facts."""

    mask: str
    sizes: Sequence[tuple[int, int]]


def unpad(model: onnx.ModelProto, facts: Facts, texts: Texts) -> int:
    """Lets ``model`` compute its tokens without padding, and returns for how many products it does.

    ``facts``: of all its tensors. The model is changed in place; where the answer is 0 it is as it was.
    """
    graph = model.graph
    if facts.opset < _OLDEST or any(_has_positions(output.name, facts, texts) for output in graph.output):
        return 0
    of_mask, whole = _of_mask_alone(graph, texts.mask), set(captured(graph.node))
    nodes = [
        node
        for node in graph.node
        if not of_mask & set(node.input) and not whole & set(node.output) and _is_by_token(node, facts, texts)
    ]
    nodes = list(_with_products(nodes))
    if nodes:
        _UnpaddedGraph(graph, facts, texts, {node.output[0] for node in nodes}).write()
    return sum(map(is_product, nodes))


def _of_mask_alone(graph: onnx.GraphProto, mask: str) -> set[str]:
    """The mask, and what is computed of it and of constants: what takes padding out of a sum needs the padding."""
    found, others = {mask}, {value.name for value in graph.input} - {mask}
    for node in graph.node:
        inputs = set(node.input)
        (others if inputs & others or node.op_type == "Shape" else found if inputs & found else set()).update(node.output)
    return found


def _is_of_tokens(name: str, facts: Facts, texts: Texts) -> bool:
    """Whether a tensor is [batch, sequence, ...], and the rest is of fixed sizes."""
    runs = facts.dims.get(name, ())
    return bool(runs) and all(dims[:2] == sizes for dims, sizes in zip(runs, texts.sizes, strict=True)) and _is_fixed(_rest(runs))


def _has_positions(name: str, facts: Facts, texts: Texts) -> bool:
    """Whether a dimension of a tensor is, or may be, that of the positions or a multiple of it."""
    runs = facts.dims.get(name)
    if runs is None:
        return True
    lengths = [length for _, length in texts.sizes]
    return any(
        not _is_fixed(sizes) and all(size % length == 0 for size, length in zip(sizes, lengths, strict=True))
        for sizes in zip(*runs, strict=True)
    )


def _is_by_token(node: onnx.NodeProto, facts: Facts, texts: Texts) -> bool:
    """Whether an operator computes something of each token from what its inputs have of that token."""
    if len(node.output) != 1 or not _is_of_tokens(node.output[0], facts, texts):
        return False
    is_one = False
    for index, name in enumerate(node.input):
        axes = tuple(axis_of(node, index, axis, facts) for axis in (0, 1))
        if axes == (0, 1) and _is_of_tokens(name, facts, texts):
            is_one = True
        elif axes != (None, None) or (name and not _is_fixed(facts.dims.get(name, ()))):
            return False
    return is_one


def _is_fixed(runs: Iterable[object]) -> bool:
    return len(set(runs)) == 1


def _rest(runs: Iterable[Dims]) -> list[Dims]:
    return [dims[2:] for dims in runs]


def _with_products(nodes: Sequence[onnx.NodeProto]) -> Iterable[onnx.NodeProto]:
    """The operators of those parts in which there is a product: what is quick is not worth gathering tokens for."""
    part = {node.output[0]: node.output[0] for node in nodes}

    def first(name: str) -> str:
        while part[name] != name:
            name = part[name]
        return name

    for node in nodes:
        for name in node.input:
            if name in part:
                part[first(node.output[0])] = first(name)
    worth = {first(node.output[0]) for node in nodes if is_product(node)}
    return (node for node in nodes if first(node.output[0]) in worth)


class _UnpaddedGraph(GraphRewriting):
    """Puts operators around those whose outputs are ``compact``: [1, tokens, ...] in place of [batch, sequence, ...]."""

    def __init__(self, graph: onnx.GraphProto, facts: Facts, texts: Texts, compact: set[str]) -> None:
        super().__init__(graph)
        self._facts, self._texts, self._compact = facts, texts, compact

    def write(self) -> None:
        self._find_tokens()
        for node in self.copies():
            if node.output[0] in self._compact:
                self._shorten(node)
            elif node.op_type == _SHAPE and node.input[0] in self._compact and not node.attribute:
                rest = self.constant(f"{node.output[0]}.rest", self._rest(node.input[0]))
                self.new("Concat", [_SIZES, rest], node.output[0], axis=0)
            else:
                for index, name in enumerate(node.input):
                    if name in self._compact:
                        node.input[index] = self._padded(name)
                self.nodes.append(node)
        self.finish()

    def _find_tokens(self) -> None:
        """The tokens are where the mask is not 0, and all positions of a text whose tokens are not its first ones."""
        scalars = [self.constant("unpadded.from", 0), self.constant("unpadded.step", 1)]
        self.new(_SHAPE, [self._texts.mask], _SIZES)
        length = self.new("Gather", [_SIZES, self.constant("unpadded.second", 1)], "unpadded.length")
        positions = self.new("Range", [scalars[0], length, scalars[1]], "unpadded.positions")
        masked = self.new("Cast", [self._texts.mask], "unpadded.masked", to=onnx.TensorProto.BOOL)
        counts = self.new("Cast", [masked], "unpadded.counts", to=onnx.TensorProto.INT64)
        each = self._sum(counts, "unpadded.each")
        is_empty = self.new("Equal", [each, scalars[0]], "unpadded.is_empty")
        # The sum of n different positions is n (n - 1) / 2 where they are the first n, and larger otherwise.
        sums = self._sum(self.new("Mul", [counts, positions], "unpadded.masked_positions"), "unpadded.sums")
        doubled = self.new("Add", [sums, sums], "unpadded.doubled")
        least = self.new("Sub", [self.new("Mul", [each, each], "unpadded.squares"), each], "unpadded.least")
        is_apart = self.new("Greater", [doubled, least], "unpadded.is_apart")
        is_whole = self.new("Or", [is_apart, is_empty], "unpadded.is_whole")
        kept = self.new("Or", [masked, is_whole], "unpadded.kept")
        whole = self.constant("unpadded.whole", [-1])
        flat = self.new("Reshape", [kept, whole], "unpadded.flat")
        self.new("Reshape", [self.new("NonZero", [flat], "unpadded.found"), whole], _PLACES)
        places = self.new("Cast", [flat], "unpadded.ones", to=onnx.TensorProto.INT64)
        numbers = self.new("CumSum", [places, self.constant("unpadded.axis", 0)], "unpadded.numbers")
        before = self.new("Sub", [numbers, self.constant(_ONE, [1])], "unpadded.before")
        self.new("Reshape", [before, _SIZES], _TOKENS)

    def _sum(self, name: str, result: str) -> str:
        """The sum of each row of an int64 tensor, [batch, 1]."""
        # The dimensions became an input in version 13.
        is_input = self._facts.opset >= 13
        axes = [self.constant(_ONE, [1])] if is_input else []
        return self.new("ReduceSum", [name, *axes], result, axes=None if is_input else [1])

    def _shorten(self, node: onnx.NodeProto) -> None:
        for index, name in enumerate(node.input):
            if name and name not in self._compact and _is_of_tokens(name, self._facts, self._texts):
                node.input[index] = self._unpadded(name)
        if node.op_type == _RESHAPE:
            name = node.output[0]
            node.input[1] = self.constant(f"{name}.unpadded_sizes", [1, -1, *self._rest(name)])
        self.nodes.append(node)

    def _unpadded(self, name: str) -> str:
        """A tensor's tokens, [1, tokens, ...]."""
        row, tokens = f"{name}.row", f"{name}.tokens"
        if tokens not in self.made:
            sizes = self.constant(f"{name}.row_sizes", [1, -1, *self._rest(name)])
            self.new("Gather", [self.new(_RESHAPE, [name, sizes], row), _PLACES], tokens, axis=1)
        return tokens

    def _padded(self, name: str) -> str:
        """The tensor [batch, sequence, ...] of a compact one."""
        row, padded = f"{name}.without_first", f"{name}.padded"
        if padded not in self.made:
            sizes = self.constant(f"{name}.first_sizes", [-1, *self._rest(name)])
            self.new("Gather", [self.new(_RESHAPE, [name, sizes], row), _TOKENS], padded, axis=0)
        return padded

    def _rest(self, name: str) -> Dims:
        return self._facts.dims[name][0][2:]
