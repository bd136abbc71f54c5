"""Clients that send a byte a second beside normal ones: ``python -m benchmarks.slow``."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import click

from benchmarks.processes import agent, ended, free_port, resident_mib, start, wait_for

_HEAD = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
_KINDS = (_HEAD + b"Content-Length: 500\r\n\r\n" + b"a" * 400, _HEAD + b"Transfer-Encoding: chunked\r\n\r\n190\r\n" + b"a" * 400)
_BODY = json.dumps({"text": "What a lovely day for a walk in the park"})


@click.command(context_settings={"show_default": True})
@click.option("--slow", default=1000, help="Clients of a byte a second; one that is refused comes again.")
@click.option("--normal", default=8)
@click.option("--seconds", default=15.0)
def main(slow: int, normal: int, seconds: float) -> None:
    """The median of NORMAL clients alone and beside SLOW ones; threads and memory before, during and after."""
    with agent() as address:
        port = free_port()
        with ended(start("function", VACCEL_RPC_ADDRESS=address, PORT=str(port), HOST="127.0.0.1", LOG_LEVEL="warn")) as function:
            wait_for(port, "/health/readiness")
            alone = _median(port, normal, seconds / 2)
            print(f"alone: median {alone:.1f} ms; {_state(function)}")
            with _slow_clients(port, slow):
                beside = _median(port, normal, seconds)
                print(f"beside {slow} slow clients: median {beside:.1f} ms, ratio {beside / alone:.2f}; {_state(function)}")
            time.sleep(2)
            print(f"after: median {_median(port, normal, seconds / 2):.1f} ms; {_state(function)}")


def _state(process: subprocess.Popen[bytes]) -> str:
    status = Path(f"/proc/{process.pid}/status").read_text()
    threads = next(line.split()[1] for line in status.splitlines() if line.startswith("Threads"))
    return f"{threads} threads, {resident_mib(process.pid):.1f} MiB"


def _median(port: int, clients: int, seconds: float) -> float:
    taken: list[float] = []

    def run() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.perf_counter()
            connection.request("POST", "/classify", _BODY, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            taken.append(time.perf_counter() - began)

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 1000 * statistics.median(taken)


@contextlib.contextmanager
def _slow_clients(port: int, count: int) -> Iterator[None]:
    stop = threading.Event()
    clients = [(socket.create_connection(("127.0.0.1", port)), _KINDS[i % 2]) for i in range(count)]

    def drip() -> None:
        at = 0
        while not stop.wait(1):
            for i, (client, data) in enumerate(clients):
                try:
                    client.send(data[at : at + 1])
                except OSError:
                    clients[i] = (socket.create_connection(("127.0.0.1", port)), data)
            at += 1

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for client, _ in clients:
            client.close()


if __name__ == "__main__":
    main()
