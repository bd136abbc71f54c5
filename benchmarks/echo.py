"""What round trips are measured with: a model that returns its input, and a plain socket that does
the same.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import torch
from torch import Tensor, nn


class EchoModel(nn.Module):
    """Returns a tensor of any dtype and dims."""

    def forward(self, x: Tensor) -> Tensor:
        """A copy of ``x``."""
        return x.clone()


def save(folder: Path, count: int = 1, size: int = 1) -> list[str]:
    """Writes ``count`` different models with ``size`` float32 weights each; their names."""
    names = [f"echo{number}" for number in range(count)]
    for number, name in enumerate(names):
        module = EchoModel().eval()
        module.register_buffer("weights", torch.full((size,), float(number)))
        torch.jit.save(torch.jit.script(module), str(folder / f"{name}.pt"))
    return names


def main() -> None:
    """Serves one connection on a unix socket: reads a length of 8 bytes and that many bytes, and
    sends the bytes back.
    """
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        connection, _ = listener.accept()
    with connection, connection.makefile("rb", buffering=1 << 20) as file:
        while head := file.read(8):
            data = file.read(int.from_bytes(head))
            connection.sendall(data)


if __name__ == "__main__":
    main()
