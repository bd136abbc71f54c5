"""Linear layers in half precision, for a device that multiplies such numbers faster.

The inputs, weights and bias of each layer are cast, and its outputs are float32 again; all else stays
as it is. Whole models are not cast: of nine families of transformers six fail then, for their
programs have float32 masks, positions or epsilons in them that do not fit the rest.
"""

from __future__ import annotations

from typing import Any

import torch

from agent.engines.torch.fp16_linear import constant

#: By the precision's name, the one with the smaller errors first; the other one has the range of
#: float32.
HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}

#: Products with weights, and sums of these with a bias.
_SCRIPT = ("aten::linear", "aten::addmm")
_EXPORT = (torch.ops.aten.linear.default, torch.ops.aten.addmm.default)


def rewrite_script(module: Any, dtype: torch.dtype) -> int:
    """Replaces the layers of a frozen TorchScript module in place, which must not have run yet; their number."""
    graph, count = module.graph, 0
    for node in [node for kind in _SCRIPT for node in graph.findAllNodes(kind)]:
        inputs = list(node.inputs())
        values = [value.toIValue() for value in inputs]
        if not _has_weights(values):
            continue
        graph.setInsertPoint(node)
        cast = [
            graph.insertConstant(value.to(dtype)) if isinstance(value, torch.Tensor)
            else _cast_script(graph, each, dtype) if each.type().kind() == "TensorType"
            else each
            for each, value in zip(inputs, values, strict=True)
        ]  # fmt: skip
        product = graph.insertNode(graph.create(node.kind(), cast)).output()
        product.setType(torch._C.TensorType.get())  # noqa: SLF001 as below
        node.output().replaceAllUsesWith(_cast_script(graph, product, torch.float32))
        node.destroy()
        count += 1
    # Layers with the same input share its cast.
    torch._C._jit_pass_cse(graph)  # noqa: SLF001 torch has no public way to change a graph
    torch._C._jit_pass_dce(graph)  # noqa: SLF001 as above
    return count


def _cast_script(graph: Any, value: Any, dtype: torch.dtype) -> Any:
    arguments = [graph.insertConstant(argument) for argument in (dtype, False, False, None)]
    output = graph.insertNode(graph.create("aten::to", [value, *arguments])).output()
    output.setType(torch._C.TensorType.get())  # noqa: SLF001 as above
    return output


def rewrite_export(module: torch.fx.GraphModule, dtype: torch.dtype) -> int:
    """The same for an exported program's module."""
    graph, count = module.graph, 0
    casts: dict[torch.fx.Node, torch.fx.Node] = {}
    for node in list(graph.nodes):
        if node.target not in _EXPORT:
            continue
        values = [constant(module, argument) for argument in node.args]
        if not _has_weights(values):
            continue
        with graph.inserting_before(node):
            for i, (argument, value) in enumerate(zip(node.args, values, strict=True)):
                if not isinstance(argument, torch.fx.Node):
                    continue
                if value is not None:
                    name = f"_half_{count}_{i}"
                    module.register_buffer(name, value.detach().to(dtype))
                    node.update_arg(i, graph.get_attr(name))
                else:
                    if argument not in casts:
                        casts[argument] = graph.call_function(torch.ops.aten.to.dtype, (argument, dtype))
                    node.update_arg(i, casts[argument])
        with graph.inserting_after(node):
            product = graph.call_function(torch.ops.aten.to.dtype, (node, torch.float32))
        node.replace_all_uses_with(product, lambda user, product=product: user is not product)
        count += 1
    graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()
    return count


def _has_weights(values: list[Any]) -> bool:
    """Whether a layer has a constant weight, and all that is constant of it is float32."""
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    return any(tensor.dim() == 2 for tensor in tensors) and all(tensor.dtype == torch.float32 for tensor in tensors)
