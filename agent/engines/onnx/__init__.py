"""ONNX files by onnxruntime, on a CPU. It ships, and its library is the extra ``onnx``.

An `agent.engines.contract.EngineModule`. Neither onnxruntime nor numpy is imported before a file
is loaded.
"""

from agent.engines.onnx.engine import OnnxEngine

#: Suffixes of the files that it loads.
SUFFIXES = (".onnx",)


def open(device: str, threads: int) -> OnnxEngine:  # noqa: A001 the contract's name
    """See `agent.engines.contract.EngineModule.open`."""
    return OnnxEngine(device, threads)
