"""A function with few descriptors under more connections than that: whether a new client is answered, and what the log says."""

from __future__ import annotations

import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.markdown import table
from benchmarks.slow.clients import SlowCounts, SlowJob, beside
from loadkit import servers
from loadkit.texts import TEXT
from loadkit.usage import descriptors

#: The limit is the process's own, before the function begins; its log goes to a file.
_LIMITED = 'ulimit -n "$1"; exec 2>"$2"; shift 2; exec "$@"'
_BODY = json.dumps({"text": TEXT})
_PAUSE_S = 0.1
_TIMEOUT_S = 10.0
_COME_S = 1.0
_WAIT_S = 30.0
_NAMES = {"idle": "idle; closed ones come again", "begun": "with half a head"}


@dataclass
class DescriptorResult:
    """``during``: new clients' status (0: none) and seconds; ``after``: seconds until one was answered, once all had left.

    ``lines``: of the log a second, but those of the new clients' own requests; ``files``: descriptors in use.
    """

    kind: str
    during: list[tuple[int, float]] = field(default_factory=list)
    after: float = float("inf")
    lines: float = 0.0
    files: int = 0


def measure(files: int, connections: int, seconds: float, log: Callable[[str], None]) -> list[DescriptorResult]:
    """So many connections, idle and begun, on a function that may open ``files``."""
    found = []
    with servers.agent() as agent:
        for kind in _NAMES:
            log(f"descriptors, {kind}")
            found.append(_measure(agent.address, kind, files, connections, seconds))
    return found


def markdown(found: list[DescriptorResult]) -> str:
    """A row for each kind."""
    head = (
        "connections", "new clients meanwhile", "answered", "refused (503)", "failed", "median, ms", "slowest, ms",
        "answered after all had left, ms", "log lines a second", "descriptors",
    )  # fmt: skip
    return table(head, [_row(one) for one in found])


def _row(one: DescriptorResult) -> list[str]:
    statuses = [status for status, _ in one.during]
    times = [1000 * taken for _, taken in one.during]
    failed = sum(status not in (200, 503) for status in statuses)
    counts = [len(statuses), statuses.count(200), statuses.count(503), failed]
    measured = [statistics.median(times), max(times), 1000 * one.after]
    return [_NAMES[one.kind], *map(str, counts), *(f"{value:.0f}" for value in measured), f"{one.lines:.1f}", f"{one.files}"]


def _measure(address: str, kind: str, files: int, connections: int, seconds: float) -> DescriptorResult:
    found = DescriptorResult(kind)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        wrapper = ["sh", "-c", _LIMITED, "sh", str(files), str(log)]
        with servers.function(address, {"LOG_LEVEL": "info"}, wrapper=wrapper) as function:
            port, pid = function.port, function.pid
            with beside(SlowJob(port, kind, connections, _COME_S), SlowCounts()):
                time.sleep(2 * _COME_S)
                before, began = _lines(log), time.monotonic()
                while time.monotonic() < began + seconds:
                    found.during.append(_new_client(port))
                    found.files = max(found.files, descriptors(pid))
                    time.sleep(_PAUSE_S)
                found.lines = (_lines(log) - before) / (time.monotonic() - began)
            left = time.perf_counter()
            while time.perf_counter() < left + _WAIT_S:
                if _new_client(port)[0] == 200:
                    found.after = time.perf_counter() - left
                    break
    return found


def _new_client(port: int) -> tuple[int, float]:
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request("POST", "/classify", _BODY, {"Content-Type": "application/json", "Connection": "close"})
        answer = connection.getresponse()
        answer.read()
        return answer.status, time.perf_counter() - began
    except (OSError, http.client.HTTPException):
        return 0, time.perf_counter() - began
    finally:
        connection.close()


def _lines(log: Path) -> int:
    """Lines so far, but one for each request that was answered."""
    return sum("status=200" not in line for line in log.read_text().splitlines())
