"""Sessions of onnxruntime, and its errors in one line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

#: Fusions that make a CPU slower: onnxruntime 1.32 computes the fused operators without vector
#: instructions, 300 us in place of 35 for 192 rows of 384. Without them a text of the model that
#: ships takes 9 to 14 % less time in float32, and a quarter less in int8.
SLOW = ("SkipLayerNormFusion", "EmbedLayerNormFusion")
#: An entry of a session's configuration. x86 CPUs without VNNI add products of 8 bits in pairs, in 16
#: bits, which overflow: there, onnxruntime multiplies weights of more than 7 bits in a slower way.
EXACT_INT8 = ("session.x64quantprecision", "1")

#: The most threads of a session that spin while they wait for one another.
MOST_SPINNING = 4

_MEMORY_PHRASES = ("bad allocation", "bad_alloc", "Failed to allocate memory", "is smaller than requested bytes", "out of memory")
#: What precedes the reason in a message, and the node in which it arose.
_CODE, _LOADING = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : "), re.compile(r"Load model from .* failed:")
_NODE = re.compile(r"Non-zero status code returned while running (\w+) node\. Name:'(.*?)' Status Message: (.*)", re.DOTALL)
#: A place in onnxruntime's sources, with the function's name, and the condition that failed there.
_PLACE = re.compile(r"/\S+\.(?:cc|h):\d+ .*?\) |\S+\.(?:cc|h):\d+ \S+ ")
_CONDITION = re.compile(r"^.* was false\. (?=.)", re.DOTALL)


#: What onnxruntime 1.32 raises with `EXACT_INT8` where several operators multiply by the same weights.
_SHARED = "Attempt to replace the existing tensor"


def new(
    model: Path | bytes, threads: int, external: Mapping[str, bytes], memory: int | None = None, *, exact_int8: bool = True
) -> Any:
    """A session of the model in a file, or of its content, with ``threads`` cores.

    ``external``: contents of its files of external data, by name. ``memory``: bytes, which its runs
    share with those of all other such sessions. ``exact_int8``: see `EXACT_INT8`. Raises what onnxruntime
    raises.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # To wake a thread takes as long as a small operator. On few cores threads spin instead while the
    # run lasts, which is alone then; after it, or on many cores, they would take time from others.
    spins = 1 < threads <= MOST_SPINNING
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spins)))
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.add_session_config_entry(*_denormals())
    if exact_int8:
        options.add_session_config_entry(*EXACT_INT8)
    options.log_severity_level = 4  # what fails is raised, and logged in the agent's format
    # A plan of memory is made for each new shape, and kept: texts have thousands of shapes.
    options.enable_mem_pattern = False
    if memory is not None:
        _register_bounded_memory(memory)
        options.add_session_config_entry("session.use_env_allocators", "1")
    if external:
        names, contents = list(external), list(external.values())
        options.add_external_initializers_from_files_in_memory(names, contents, [len(content) for content in contents])
    with _path(model) as path:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(SLOW))


@contextmanager
def _path(model: Path | bytes) -> Iterator[str]:
    """A path of the model. Of bytes, which onnxruntime would keep as long as the session, it is a file in memory."""
    if isinstance(model, Path):
        yield str(model)
        return
    with os.fdopen(os.memfd_create("model.onnx", os.MFD_CLOEXEC), "wb") as file:
        file.write(model)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


def plain(model: bytes) -> Any:
    """A session that computes each operator as the model has it, on one thread; its first run is soon there.

    Raises what onnxruntime raises.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry(*_denormals())
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@cache
def _register_bounded_memory(most: int) -> None:
    kind, memory = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, onnxruntime.OrtMemType.DEFAULT
    same_as_requested = 1
    limits = onnxruntime.OrtArenaCfg({"max_mem": most, "arena_extend_strategy": same_as_requested})
    onnxruntime.create_and_register_allocator(onnxruntime.OrtMemoryInfo("Cpu", kind, 0, memory), limits)


def is_shared_int8(error: BaseException) -> bool:
    """Whether a model loads only without `EXACT_INT8`."""
    return _SHARED in str(error)


def _denormals(*, count_as_zero: bool | None = None) -> tuple[str, str]:
    """The entry of a session's configuration for denormal numbers; by default as they are in the calling thread.

    A process's first session sets it for that thread, and each for the threads that it starts.
    """
    if count_as_zero is None:
        count_as_zero = bool(np.float32(1e-30) * np.float32(1e-10) == 0)
    return "session.set_denormal_as_zero", str(int(count_as_zero))


def flush_denormals() -> None:
    """Numbers below 1.2e-38 count as 0 in the calling thread from now on, if this makes the process's first session.

    `agent.engines.torch.engine.TorchEngine.prepare_thread` says why, and does so where torch is loaded.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry(*_denormals(count_as_zero=True))
    onnxruntime.InferenceSession(_product(), options, providers=["CPUExecutionProvider"])  # any model will do


@cache
def int8_overflows() -> bool:
    """Whether sums of int8 products overflow on this CPU without `EXACT_INT8`: those of the largest numbers are tried."""
    (sums,) = plain(_product()).run(None, {"numbers": np.full((1, 64), 255, np.uint8)})
    return bool((sums != 64 * 255 * 127).any())


def _product() -> bytes:
    """A model of one operator: uint8 [1, 64] times the largest int8 numbers -> int32 [1, 2]."""
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["numbers", "weights"], ["sums"])],
        "product",
        [helper.make_tensor_value_info("numbers", TensorProto.UINT8, [1, 64])],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, [1, 2])],
        [numpy_helper.from_array(np.full((64, 2), 127, np.int8), "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10).SerializeToString()


def is_memory(error: BaseException) -> bool:
    """Whether memory ran out."""
    return isinstance(error, MemoryError) or any(phrase in str(error) for phrase in _MEMORY_PHRASES)


def reason(error: BaseException) -> str:
    """The reason in one line of at most 500 characters."""
    text, where = _LOADING.sub("", _CODE.sub("", str(error))), ""
    if node := _NODE.search(text):
        where, text = f"{node[1]} {node[2]}".strip() + ": ", node[3]
    return " ".join((where + _CONDITION.sub("", _PLACE.sub("", text))).split())[:500] or type(error).__name__
