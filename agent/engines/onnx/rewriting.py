"""Writes a graph anew: its operators, changed, with others between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper


class GraphRewriting:
    """The operators of ``graph`` as they are put into ``nodes``, in their order; `finish` replaces the graph's."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.nodes: list[onnx.NodeProto] = []
        #: Names of the tensors that the graph did not have.
        self.made: set[str] = set()

    def copies(self) -> list[onnx.NodeProto]:
        """The graph's operators, which may be changed."""
        return [onnx.NodeProto.FromString(node.SerializeToString()) for node in self.graph.node]

    def new(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Adds an operator with the output ``name``, and returns that; attributes that are None are left out."""
        self.made.add(name)
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, name: str, values: int | Sequence[int]) -> str:
        """Adds whole numbers, once for each name, and returns that."""
        if name not in self.made:
            self.made.add(name)
            self.graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def finish(self) -> None:
        """Gives the graph its new operators."""
        # The shapes between operators are other ones now; onnxruntime infers them.
        del self.graph.node[:], self.graph.value_info[:]
        self.graph.node.extend(self.nodes)
