"""How long a cold function takes to its first answer, beside ``import torch`` alone: ``python -m benchmarks.start``."""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import time

import click

from benchmarks.processes import ROOT, agent, ended, free_port, resident_mib, start

_BODY = json.dumps({"text": "What a lovely day for a walk in the park"})


@click.command()
@click.option("--runs", default=10, show_default=True)
def main(runs: int) -> None:
    """Spawn to first answered classification, median of RUNS; the agent is warm."""
    with agent() as address:
        _first_answer(address)
        measured = [_first_answer(address) for _ in range(runs)]
    torch = statistics.median(_import_torch() for _ in range(3))
    median = statistics.median(seconds for seconds, _ in measured)
    memory = statistics.median(mib for _, mib in measured)
    print(f"function: spawn to first answer {median:.3f} s (median of {runs}, {memory:.1f} MiB resident)")
    print(f"import torch alone: {torch:.3f} s; ratio {median / torch:.2f}")
    heavy = _heavy_modules(address)
    print(f"modules of torch, numpy, grpc that python -X importtime shows: {', '.join(heavy) or 'none'}")


def _first_answer(address: str) -> tuple[float, float]:
    port = free_port()
    began = time.perf_counter()
    with ended(start("function", VACCEL_RPC_ADDRESS=address, PORT=str(port), HOST="127.0.0.1")) as process:
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                connection.request("POST", "/classify", _BODY, {"Content-Type": "application/json"})
                assert connection.getresponse().status == 200
                return time.perf_counter() - began, resident_mib(process.pid)
            except ConnectionRefusedError:
                time.sleep(0.002)


def _import_torch() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - began


def _heavy_modules(address: str) -> list[str]:
    port = free_port()
    command = [sys.executable, "-X", "importtime", "-m", "function"]
    env = {"VACCEL_RPC_ADDRESS": address, "PORT": str(port), "HOST": "127.0.0.1"}
    with subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(2)
        process.terminate()
        _, log = process.communicate()
    names = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in log.splitlines() if line.startswith("import time:")}
    assert "flask" in names
    return sorted(names & {"torch", "numpy", "grpc"})


if __name__ == "__main__":
    main()
