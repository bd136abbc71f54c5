"""Runs ONNX graphs as the agent's engine does on one thread of a CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime
import torch
from torch import Tensor

from agent.engines.onnx import sessions
from export.refusal import Refused


def session(model: onnx.ModelProto | Path) -> onnxruntime.InferenceSession:
    """A session of one thread. Raises `Refused` with onnxruntime's reason where it cannot load the model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry(*sessions.EXACT_INT8)
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    try:
        return onnxruntime.InferenceSession(
            source, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(sessions.SLOW)
        )
    except Exception as error:  # noqa: BLE001 onnxruntime raises many kinds
        what = model if isinstance(model, Path) else "the graph"
        raise Refused(f"onnxruntime cannot load {what}: {sessions.reason(error)}") from None


def program(model: onnx.ModelProto | Path) -> Callable[..., Tensor]:
    """``input_ids`` and ``attention_mask`` to logits, float32 [n, classes]."""
    running = session(model)
    names = [value.name for value in running.get_inputs()]

    def run(*tensors: Tensor) -> Tensor:
        feed = {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}
        return torch.from_numpy(running.run(None, feed)[0])

    return run
