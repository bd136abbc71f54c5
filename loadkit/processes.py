"""An agent and a function as processes of their own, for as long as a measurement takes; what processes cost."""

from __future__ import annotations

import compileall
import contextlib
import http.client
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
_READY_S = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A TCP port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(module: str, *options: str, **env: str) -> subprocess.Popen[bytes]:
    """Starts ``python -m module``."""
    return spawn([sys.executable, "-m", module, *options], env)


def compile_all(*packages: str) -> None:
    """Compiles what a function imports, and ``packages``: as the images have it, no start compiles what has just been edited."""
    for package in ("function", "vaccel_common", "vaccel_rpc", *packages):
        compileall.compile_dir(ROOT / package, quiet=1)


def spawn(command: Sequence[str], env: Mapping[str, str], cpus: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Starts a command in a process group of its own; if ``cpus`` are given, on these only."""
    pinned = ["taskset", "-c", ",".join(map(str, cpus))] if cpus else []
    return subprocess.Popen([*pinned, *command], cwd=ROOT, env={**os.environ, **env}, start_new_session=True)


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Ends it at the end, and what it started and left behind."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def agent(address: str | None = None) -> Iterator[str]:
    """An agent with the model that ships, warm; its address."""
    with tempfile.TemporaryDirectory() as folder:
        address = address or f"unix://{folder}/a.sock"
        metrics = free_port()
        options = ("-a", address, "--models", "models", "--preload", "tweets", "--log-level", "warn")
        with ended(start("agent", *options, "--metrics-address", f"127.0.0.1:{metrics}")):
            wait_for(metrics, "/readyz")
            yield address


def wait_for(port: int, path: str, method: str = "GET", body: str | None = None) -> None:
    """Waits until a request is answered with 200."""
    end = time.monotonic() + _READY_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            if connection.getresponse().status == 200:
                return
        time.sleep(0.05)
    raise TimeoutError(f"no 200 from port {port} {path} within {_READY_S:g} s")


def first_answer(port: int, path: str, body: str | None = None) -> float:
    """Asks a process that is being started until it answers, with 200; when it did (``time.perf_counter``)."""
    end = time.perf_counter() + _READY_S
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("POST" if body else "GET", path, body, {"Content-Type": "application/json"} if body else {})
            assert connection.getresponse().status == 200
            return time.perf_counter()
        except (ConnectionRefusedError, ConnectionResetError):
            assert time.perf_counter() < end, f"nothing listens at port {port}"
            time.sleep(0.002)


def get(port: int, path: str) -> str:
    """The body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    return connection.getresponse().read().decode()


def more_files() -> None:
    """Lets this process and its children open as many files as they may."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


def resident_mib(pid: int) -> float:
    """Resident memory of a process in MiB. Source: proc(5), VmRSS."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def memory_mib(*pids: int) -> dict[str, float]:
    """Resident (``rss``) and proportional (``pss``) memory in MiB of processes and all their children. Source: proc(5)."""
    found = {"rss": 0.0, "pss": 0.0}
    for pid in tree(*pids):
        with contextlib.suppress(OSError):  # It may have ended.
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name = line.partition(":")[0].lower()
                if name in found:
                    found[name] += int(line.split()[1]) / 1024
    return found


def tree(*pids: int) -> list[int]:
    """The processes and all their children. Source: proc(5)."""
    found = list(pids)
    for pid in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_seconds(*pids: int) -> float:
    """CPU time of processes and their children, user and system. Source: proc(5), utime and stime."""
    total = 0
    for pid in tree(*pids):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def machine_seconds() -> float:
    """CPU time of the whole machine since it started, but for idling. Source: proc(5), /proc/stat."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS


def busy_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
