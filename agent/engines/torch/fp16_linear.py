"""Linear layers whose float32 weights are half precision numbers, multiplied by FBGEMM on a CPU.

The arithmetic stays float32 and no weight changes; only the order in which products are summed
differs, as between any two libraries. FBGEMM stores such weights in half the space, in the order in
which they are read, and takes half the time on a CPU for which MKL has no AVX-512 kernels. Layers
with other weights are left as they are.
"""

from __future__ import annotations

from typing import Any

import torch


def rewrite_script(module: Any) -> int:
    """Replaces the linear layers of a frozen TorchScript module in place; returns their number."""
    graph, count = module.graph, 0
    for node in list(graph.findAllNodes("aten::linear")):
        rows, weight, bias = node.inputs()
        packed = _packed(weight.toIValue(), bias.toIValue())
        if packed is None:
            continue
        graph.setInsertPoint(node)
        replacement = graph.create("quantized::linear_dynamic_fp16", [rows, graph.insertConstant(packed)])
        graph.insertNode(replacement)
        replacement.output().setType(node.output().type())
        node.output().replaceAllUsesWith(replacement.output())
        node.destroy()
        count += 1
    torch._C._jit_pass_dce(graph)  # noqa: SLF001 torch has no public way to change a graph
    return count


def rewrite_export(module: torch.fx.GraphModule) -> int:
    """Replaces the linear layers of an exported program's module in place; returns their number."""
    count = 0
    for node in list(module.graph.nodes):
        if node.target is not torch.ops.aten.linear.default:
            continue
        rows, weight, *bias = node.args
        packed = _packed(constant(module, weight), constant(module, bias[0]) if bias else None)
        if packed is None:
            continue
        name = f"_fp16_linear_{count}"
        setattr(module, name, packed)
        with module.graph.inserting_before(node):
            weights = module.graph.create_node("get_attr", name)
            replacement = module.graph.call_function(torch.ops.quantized.linear_dynamic_fp16.default, (rows, weights))
        node.replace_all_uses_with(replacement)
        module.graph.erase_node(node)
        for unused in (weight, *bias):
            if not unused.users:
                module.graph.erase_node(unused)
        count += 1
    module.delete_all_unused_submodules()
    module.recompile()
    return count


def constant(module: torch.fx.GraphModule, node: Any) -> torch.Tensor | None:
    """The tensor that a node of an exported program's module stands for; None where it is not constant."""
    if not isinstance(node, torch.fx.Node) or node.op != "get_attr":
        return None
    value: Any = module
    for part in str(node.target).split("."):
        value = getattr(value, part)
    return value if isinstance(value, torch.Tensor) else None


def _packed(weight: torch.Tensor | None, bias: torch.Tensor | None) -> Any:
    """FBGEMM's form of a layer; None where it would lose precision or cannot be packed."""
    if weight is None or weight.dtype != torch.float32 or not weight.is_cpu or weight.dim() != 2:
        return None
    if not torch.equal(weight.half().float(), weight):
        return None
    try:
        return torch.ops.quantized.linear_prepack_fp16(weight.detach(), None if bias is None else bias.detach())
    except RuntimeError:
        return None
