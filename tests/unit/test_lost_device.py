"""Which of torch's errors mean that the device is lost, in the words and classes that torch has for them."""

from __future__ import annotations

import pytest
import torch

from agent.engines.contract import DeviceLost
from agent.engines.torch.device import TorchDevice
from agent.engines.torch.exceptions import lost_device
from agent.engines.torch.program import TorchProgram
from vaccel_rpc.tensors import from_values

_ADVICE = """
Search for `cudaErrorAssert' in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html for more information.
CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.
For debugging consider passing CUDA_LAUNCH_BLOCKING=1
Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.
"""
_ASSERT = f"CUDA error: device-side assert triggered{_ADVICE}"
_SCRIPT = f"""The following operation failed in the TorchScript interpreter.
Traceback of TorchScript, serialized code (most recent call last):
  File "code/__torch__/model.py", line 9, in forward
    return torch.embedding(self.weight, ids)
RuntimeError: {_ASSERT}"""


@pytest.mark.parametrize(
    ("error", "reason", "by_run"),
    [
        (torch.AcceleratorError(_ASSERT), "CUDA error: device-side assert triggered", True),
        (RuntimeError(_ASSERT), "CUDA error: device-side assert triggered", True),
        (torch.jit.Error(_SCRIPT), "CUDA error: device-side assert triggered", True),
        (torch.AcceleratorError(f"CUDA error: an illegal memory access was encountered{_ADVICE}"), None, True),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), None, True),
        (torch.AcceleratorError("HIP error: unspecified launch failure"), None, True),
        (torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered"), None, False),
        (torch.AcceleratorError("CUDA error: CUDA-capable device(s) is/are busy or unavailable"), None, False),
        (torch.AcceleratorError("CUDA error: no CUDA-capable device is detected"), None, False),
    ],
)
def test_errors_that_do_not_go_away(error: RuntimeError, reason: str | None, by_run: bool) -> None:
    """The reason is the line that names the error, without stack and advice."""
    lost = lost_device(error)
    assert lost
    assert lost.reason == (reason or str(error).partition("\n")[0])
    assert lost.by_run == by_run


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        torch.AcceleratorError("CUDA error: invalid configuration argument"),
        torch.AcceleratorError("CUDA error: no kernel image is available for execution on the device"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (1x3 and 4x5)"),
        RuntimeError("the text says: device-side assert triggered"),
        IndexError("index out of range in self"),
        RuntimeError(""),
    ],
)
def test_errors_of_one_run(error: Exception) -> None:
    """Another run may succeed, so the device is not lost."""
    assert lost_device(error) is None


def test_a_run_on_a_lost_device_says_so() -> None:
    """As the engine's contract has it, and not as an error of the model."""
    device = TorchDevice("cpu", 1)
    device.device = torch.device("cuda:7")  # there is none
    program = TorchProgram(torch.nn.Identity(), None, device)
    with pytest.raises(DeviceLost):
        program.run([[from_values("int64", [1], [1])]], alone=False)


def test_a_cpu_is_never_lost() -> None:
    """Whatever a model says."""
    assert TorchDevice("cpu", 1).loss(torch.AcceleratorError(_ASSERT)) is None


def test_a_device_that_does_not_answer_is_lost() -> None:
    """After an error of a library beside CUDA the device is tried; here there is none. Want of memory is no loss."""
    device = TorchDevice("cpu", 1)
    device.device = torch.device("cuda:7")
    lost = device.loss(RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED when calling cublasSgemm"))
    assert lost
    assert lost.by_run
    assert device.loss(torch.OutOfMemoryError("CUDA out of memory.")) is None
