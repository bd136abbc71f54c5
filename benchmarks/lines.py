"""A long stream of JSON lines: the function's memory, the order of answers, the first answer:
``python -m benchmarks.lines``.
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor, nn

from benchmarks.programs import LinesConfig
from loadkit import servers
from loadkit.http1 import LAST_CHUNK, chunk, head
from loadkit.processes import ROOT
from loadkit.usage import resident_mib
from vaccel_common.commandline import ToolCommand, options
from vaccel_common.modelfile import read_extras

_HEADERS = {"Content-Type": "application/x-ndjson", "Transfer-Encoding": "chunked", "Connection": "close"}
_EVERY = 50_000


class Tiny(nn.Module):
    """input_ids, attention_mask int64 [n, t] -> float32 [n, 3]: a model that costs nothing, to
    measure everything else.
    """

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Three numbers computed from each row."""
        total = (input_ids * attention_mask).sum(1, keepdim=True).float()
        return torch.cat([total % 7, total % 5, total % 3], 1)


@click.command(cls=ToolCommand, context_settings={"show_default": True, "max_content_width": 120})
@options(LinesConfig)
def main(**values: Any) -> None:
    """Streams lines through the function to a tiny model; exit code 1 if an answer is missing or
    out of order.
    """
    config = LinesConfig(**values)
    with tempfile.TemporaryDirectory() as folder:
        model = tiny(Path(folder) / "tiny.pt")
        with (
            servers.agent(models=folder, preload="tiny") as agent,
            servers.function(agent.address, {"MODEL": str(model)}) as function,
        ):
            sys.exit(_stream(function.port, function.pid, config.lines))


def _stream(port: int, pid: int, lines: int) -> int:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(head("POST", "/classify", _HEADERS))
        began = time.perf_counter()
        _send(client, 0, 1)
        answers = client.makefile("rb")
        while (line := answers.readline()).strip():
            pass
        first = _answer(answers)
        print(f"first answer {1000 * (time.perf_counter() - began):.1f} ms after its line")
        sender = threading.Thread(target=_send_all, args=(client, lines), daemon=True)
        sender.start()
        count, sizes = 1, [resident_mib(pid)]
        out_of_order = first.get("id") != 0
        while line := answers.readline():
            if not line.startswith(b"{"):
                continue
            for part in line.splitlines():
                out_of_order = out_of_order or json.loads(part).get("id") != count
                count += 1
                if count % _EVERY == 0:
                    sizes.append(resident_mib(pid))
                    print(f"{count} lines, {count / (time.perf_counter() - began):.0f}/s, {sizes[-1]:.1f} MiB", flush=True)
    grown = max(sizes[1:]) - min(sizes[1:]) if len(sizes) > 1 else 0.0
    print(f"{count} of {lines} lines answered, {'out of order' if out_of_order else 'in order'}; memory moved by {grown:.1f} MiB")
    return int(out_of_order or count != lines)


def _answer(answers: object) -> dict[str, object]:
    while not (line := answers.readline()).startswith(b"{"):  # type: ignore[attr-defined] # a socket's file
        pass
    answer: dict[str, object] = json.loads(line)
    return answer


def _send_all(client: socket.socket, lines: int) -> None:
    for at in range(1, lines, 100):
        _send(client, at, min(at + 100, lines))
    client.sendall(LAST_CHUNK)


def _send(client: socket.socket, start: int, end: int) -> None:
    data = b"".join(b'{"id": %d, "text": "cup of tea number %d"}\n' % (i, i) for i in range(start, end))
    client.sendall(chunk(data))


def tiny(path: Path) -> Path:
    """Writes a model that costs nothing, with the tokenizer, labels and inputs of the shipped one;
    its path.
    """
    extras = read_extras(ROOT / "models/tweets.pt")
    signature = extras.signature
    assert signature
    assert extras.tokenizer
    assert extras.labels
    inputs = [{"name": spec.name, "dtype": spec.dtype, "dims": list(spec.dims), "pad": 0} for spec in signature.inputs]
    outputs = [{"name": spec.name, "dtype": spec.dtype, "dims": list(spec.dims)} for spec in signature.outputs]
    described = {"format": 1, "name": "tiny", "problem_type": signature.problem_type, "max_length": signature.max_length}
    described |= {"inputs": inputs, "outputs": outputs, "batch": signature.batch, "length": signature.length}
    files = {
        "tokenizer.json": extras.tokenizer.decode(),
        "labels.json": json.dumps(extras.labels),
        "signature.json": json.dumps(described),
    }
    torch.jit.save(torch.jit.script(Tiny().eval()), str(path), _extra_files=files)
    return path


if __name__ == "__main__":
    main()
