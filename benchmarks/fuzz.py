"""Fuzzes the agent while a correct client checks its answers:
``python -m benchmarks.fuzz --seconds 600``.

The attackers send random bytes, mutated calls, false headers and incomplete frames, and disconnect
at any time. Every answer to the correct client must be right, the agent's memory flat, and its log
without a traceback; otherwise the exit code is 1.
"""

from __future__ import annotations

import random
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchmarks.programs import FuzzConfig
from benchmarks.rpc import ModelClient
from loadkit import servers
from loadkit.processes import free_port
from loadkit.usage import growth, resident_mib
from vaccel_common.commandline import ToolCommand, options
from vaccel_rpc.addresses import Address, no_delay, parse, ttrpc_socket
from vaccel_rpc.errors import RpcError
from vaccel_rpc.frames import encode
from vaccel_rpc.proto.dialect07 import agent07_pb2
from vaccel_rpc.proto.dialect08 import genop_pb2, resource_pb2, session_pb2, torch_pb2
from vaccel_rpc.proto.ttrpc_pb2 import Request
from vaccel_rpc.tensors import from_values, to_values

_ATTACKERS = 3
#: Attacks a second of each attacker, few enough to leave the correct client CPU time.
_RATE = 40.0


@click.command(cls=ToolCommand, context_settings={"show_default": True, "max_content_width": 120})
@options(FuzzConfig)
def main(**values: Any) -> None:
    """Attacks an agent that it starts while a correct client checks its answers."""
    config = FuzzConfig(**values)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "agent.log"
        tcp = parse(f"tcp://127.0.0.1:{free_port()}")
        arguments = ("-a", str(tcp), "--uploads", "allow", "--max-message", "64", "--vaccel-config", f"log_file={log}")
        with servers.agent(options=arguments) as agent:
            passed = _attack((parse(agent.address), tcp), config.seconds, config.seed, lambda: resident_mib(agent.pid))
            passed = agent.process.poll() is None and passed
        tracebacks = log.read_text(errors="replace").count("Traceback")
    print(f"tracebacks in the agent's log: {tracebacks}")
    sys.exit(0 if passed and not tracebacks else 1)


def _attack(addresses: tuple[Address, ...], seconds: float, seed: int, memory: Callable[[], float]) -> bool:
    end = time.monotonic() + seconds
    sent: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    threads = [threading.Thread(target=_attacker, args=(addresses, seed + i, end, sent)) for i in range(_ATTACKERS)]
    threads.append(threading.Thread(target=_correct, args=(addresses[0], end, calls)))
    for thread in threads:
        thread.start()
    samples = []
    while time.monotonic() < end:
        samples.append(memory())
        time.sleep(min(1.0, seconds / 10))
    for thread in threads:
        thread.join()
    memory_text, flat = growth(samples)
    print(f"attacks: {sum(sent.values())} ({', '.join(f'{name} {count}' for name, count in sent.most_common())})")
    print(f"correct client: {calls['right']} calls right, {calls['wrong']} wrong, {calls['failed']} failed")
    print(memory_text)
    return calls["right"] > 0 and not calls["wrong"] and not calls["failed"] and flat


def _correct(address: Address, end: float, calls: Counter[str]) -> None:
    client = ModelClient(str(address), "tweets")
    rows = [[from_values("int64", [1, n], range(1000, 1000 + n)), from_values("int64", [1, n], [1] * n)] for n in range(2, 40)]
    expected = [to_values(client.run(row)) for row in rows]
    while time.monotonic() < end:
        for row, right in zip(rows, expected, strict=True):
            try:
                answer = to_values(client.run(row, timeout=20))
            except RpcError as error:
                print(f"correct client: {error.name}: {error.message}", file=sys.stderr)
                calls["failed"] += 1
                continue
            calls["right" if max(abs(a - b) for a, b in zip(answer, right, strict=True)) < 1e-4 else "wrong"] += 1


def _attacker(addresses: tuple[Address, ...], seed: int, end: float, sent: Counter[str]) -> None:
    chance = random.Random(seed)
    while time.monotonic() < end:
        attack = chance.choice(_ATTACKS)
        sent[attack.__name__.strip("_")] += 1
        try:
            sock, place = ttrpc_socket(chance.choice(addresses))
            with sock:
                sock.settimeout(2)
                sock.connect(place)
                no_delay(sock)
                attack(sock, chance)
        except OSError:
            pass  # The agent may close a connection at any invalid frame.
        time.sleep(chance.expovariate(_RATE))


def _call(chance: random.Random) -> bytes:
    """A valid frame of a random method with unusual numbers in it."""
    number = chance.choice([0, 1, -1, 7, 2**62])
    tensor = torch_pb2.Tensor(
        data=chance.randbytes(chance.randrange(40)),
        dims=[chance.choice([0, 1, -1, 2**40])] * 2,
        type=chance.choice(torch_pb2.DataType.values()),
    )
    method, payload = chance.choice(
        [
            ("CreateSession", session_pb2.CreateRequest(flags=1)),
            ("DestroySession", session_pb2.DestroyRequest(session_id=number)),
            (
                "RegisterResource",
                resource_pb2.RegisterRequest(session_id=number, paths=[chance.choice(["tweets", "../x", "", "http://x"])]),
            ),
            (
                "RegisterResource",
                resource_pb2.RegisterRequest(session_id=number, blobs=[resource_pb2.Blob(data=chance.randbytes(50))]),
            ),
            ("TorchModelRun", torch_pb2.ModelRunRequest(session_id=number, model_id=number, in_tensors=[tensor])),
            (
                "Genop",
                genop_pb2.Request(
                    session_id=number, read_args=[genop_pb2.Arg(buf=chance.randbytes(3), parts=chance.randrange(4))]
                ),
            ),
            (
                "Genop",
                genop_pb2.Request(
                    session_id=number,
                    read_args=[genop_pb2.Arg(buf=b"\0")],
                    write_args=[genop_pb2.Arg(size=chance.choice([0, 9, 2**26, 2**32 - 1]), unallocated=True)],
                ),
            ),
            ("GenopStream", genop_pb2.Request(session_id=number)),
            (
                chance.choice(["Genop", "GenopStream"]),
                agent07_pb2.GenopRequest(
                    session_id=number, read_args=[agent07_pb2.Arg(argtype=9, buf=b"\0", parts=chance.randrange(4))]
                ),
            ),
            (
                "RegisterResource",
                agent07_pb2.RegisterResourceRequest(
                    session_id=number, files=[agent07_pb2.File(name="m", data=chance.randbytes(50))]
                ),
            ),
        ]
    )
    service = chance.choice(["vaccel.sync.agent.AgentService", "vaccel.asynchronous.agent.AgentService", "vaccel.AgentService"])
    request = Request(
        service=service, method=method, payload=payload.SerializeToString(), timeout_nano=chance.choice([0, 1, -5, 10**9])
    )
    stream = chance.choice([1, 1, 3, 2, 0, 2**32 - 1])
    return encode(stream, chance.choice([1, 1, 1, 3, 2]), chance.choice([0, 0, 6, 5, 255]), request.SerializeToString())


def _random_bytes(sock: socket.socket, chance: random.Random) -> None:
    sock.sendall(chance.randbytes(chance.randrange(1, 4000)))


def _unusual_calls(sock: socket.socket, chance: random.Random) -> None:
    sock.sendall(b"".join(_call(chance) for _ in range(20)))
    sock.settimeout(0.1)
    sock.recv(65536)


def _flipped_bits(sock: socket.socket, chance: random.Random) -> None:
    data = bytearray(b"".join(_call(chance) for _ in range(5)))
    for _ in range(chance.randrange(1, 20)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    sock.sendall(data)


def _flipped_body(sock: socket.socket, chance: random.Random) -> None:
    data = bytearray(_call(chance))
    for _ in range(chance.randrange(1, 10)):
        data[chance.randrange(10, len(data))] = chance.randrange(256)
    sock.sendall(data)
    sock.settimeout(0.1)
    sock.recv(65536)


def _false_header(sock: socket.socket, chance: random.Random) -> None:
    length = chance.choice([2**20, 2**26, 2**26 + 1, 2**32 - 1])
    sock.sendall(struct.pack(">IIBB", length, 1, 1, 0) + chance.randbytes(chance.randrange(200_000)))


def _incomplete_frame(sock: socket.socket, chance: random.Random) -> None:
    data = _call(chance)
    sock.sendall(data[: chance.randrange(len(data))])
    time.sleep(chance.random() * 0.2)


def _nothing(sock: socket.socket, chance: random.Random) -> None:
    if chance.random() < 0.5:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


_ATTACKS: tuple[Callable[[socket.socket, random.Random], None], ...] = (
    _random_bytes,
    _unusual_calls,
    _flipped_bits,
    _flipped_body,
    _false_header,
    _incomplete_frame,
    _nothing,
)


if __name__ == "__main__":
    main()
