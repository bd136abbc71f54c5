"""The engine that ships: TorchScript and torch.export programs, on a CPU or a GPU.

An `agent.engines.contract.EngineModule`.
"""

from agent.engines.torch.engine import TorchEngine

#: Suffixes of the files that it loads.
SUFFIXES = (".pt", ".pt2")


def open(device: str, threads: int) -> TorchEngine:  # noqa: A001 the contract's name
    """See `agent.engines.contract.EngineModule.open`."""
    return TorchEngine(device, threads)
