"""The whole way, HTTP to label, beside plain torch on the same texts: ``python -m benchmarks.throughput``."""

from __future__ import annotations

import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.processes import ROOT, agent, function
from function.lines import read_file

_WORDS = (
    *("the", "tea", "was", "warm", "and", "we", "walked", "along", "river", "until", "it", "rained"),
    *("then", "everybody", "went", "home", "to", "read", "a", "good", "book"),
)


@click.command(context_settings={"show_default": True})
@click.option("--clients", default=32, help="HTTP clients, each with one request at a time.")
@click.option("--seconds", default=60.0)
@click.option("--texts", type=click.Path(exists=True, path_type=Path), help="Texts, one a line, or a .csv with a column 'tweet'.")
@click.option("--count", default=600, help="Texts to use.")
def main(clients: int, seconds: float, texts: Path | None, count: int) -> None:
    """Requests a second of CLIENTS against torch's best batched rate; a single client's median against torch's batch 1."""
    wanted = _sample(read_file(texts) if texts else _made(), count)
    before = _torch_alone(wanted)
    with agent() as address, function(address) as port:
        _load(port, wanted, 1, 3)
        _, single, _ = _load(port, wanted, 1, min(20.0, seconds))
        rate, many, failed = _load(port, wanted, clients, seconds)
    after = _torch_alone(wanted)
    best = max(before.best, after.best)
    alone = (before.single_ms + after.single_ms) / 2
    print(f"plain torch: best batched rate {best:.1f}/s, batch 1 median {alone:.2f} ms")
    print(
        f"1 client: median {1000 * statistics.median(single):.2f} ms; {1000 * statistics.median(single) - alone:+.2f} ms to torch's batch 1"
    )
    ordered = sorted(many)
    print(f"{clients} clients, {seconds:g} s: {rate:.1f} requests/s, {failed} failed, ratio {rate / best:.2f}; "
          f"p50 {1000 * statistics.median(ordered):.1f} ms, p99 {1000 * ordered[int(0.99 * (len(ordered) - 1))]:.1f} ms")  # fmt: skip
    sys.exit(1 if failed else 0)


def _sample(texts: list[str], count: int) -> list[str]:
    return random.Random(1).sample([text for text in texts if text.strip()], min(count, len(texts)))


def _made() -> list[str]:
    chance = random.Random(2)
    return [" ".join(chance.choices(_WORDS, k=max(2, round(chance.gauss(18, 9))))) for _ in range(2000)]


@dataclass(frozen=True)
class _Alone:
    single_ms: float
    best: float


def _torch_alone(texts: list[str]) -> _Alone:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(texts, file)
        file.flush()
        command = [sys.executable, "-m", "benchmarks.torch_alone", "models/tweets.pt", file.name]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return _Alone(found["single_ms"], max(found["rates"].values()))


def _load(port: int, texts: list[str], clients: int, seconds: float) -> tuple[float, list[float], int]:
    """Requests a second, each one's seconds, how many failed."""
    requests = [_request(text) for text in texts]
    times: list[float] = []
    failures: list[str] = []
    end = time.perf_counter() + seconds

    def client(number: int) -> None:
        chance = random.Random(number)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (began := time.perf_counter()) < end:
                answer = _ask(connection, chance.choice(requests))
                if answer.startswith(b"HTTP/1.1 200 ") and b'"label"' in answer:
                    times.append(time.perf_counter() - began)
                else:
                    failures.append(answer[:60].decode(errors="replace"))
                    return

    began = time.perf_counter()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        print(f"failed: {failure!r}", file=sys.stderr)
    return len(times) / (time.perf_counter() - began), times, len(failures)


def _request(text: str) -> bytes:
    body = json.dumps({"text": text}).encode()
    head = f"POST /classify HTTP/1.1\r\nHost: function\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _ask(connection: socket.socket, request: bytes) -> bytes:
    """One request on a kept connection: a client that costs little, since it shares the cores it measures."""
    connection.sendall(request)
    answer = b""
    while True:
        part = connection.recv(65536)
        if not part:
            return answer
        answer += part
        head, found, body = answer.partition(b"\r\n\r\n")
        if found:
            length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            if len(body) >= length:
                return answer


if __name__ == "__main__":
    main()
