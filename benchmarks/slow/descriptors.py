"""A function with fewer descriptors than connections: whether new clients get responses, and how
much it logs.
"""

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

#: Runs its arguments with a limit of its own on descriptors, and their log in a file.
_LIMITED = 'ulimit -n "$1"; exec 2>"$2"; shift 2; exec "$@"'
_BODY = json.dumps({"text": TEXT})
_PAUSE_S = 0.1
_TIMEOUT_S = 10.0
_CONNECT_S = 1.0
_RECOVER_S = 30.0
_NAMES = {"idle": "idle; closed ones connect again", "begun": "with an incomplete head"}


@dataclass
class DescriptorResult:
    """What new clients saw, and what the function did meanwhile.

    ``during``: each new client's status (0: none) and seconds; ``after``: seconds until a new
    client got a response once all others had left. ``lines``: log lines a second, without those of
    the new clients' requests; ``files``: descriptors in use.
    """

    kind: str
    during: list[tuple[int, float]] = field(default_factory=list)
    after: float = float("inf")
    lines: float = 0.0
    files: int = 0


def measure(files: int, connections: int, seconds: float, log: Callable[[str], None]) -> list[DescriptorResult]:
    """Opens idle and begun connections to a function that may open ``files`` descriptors."""
    results = []
    with servers.agent() as agent:
        for kind in _NAMES:
            log(f"descriptors, {kind}")
            results.append(_measure(agent.address, kind, files, connections, seconds))
    return results


def markdown(results: list[DescriptorResult]) -> str:
    """A table with a row for each kind of connection."""
    head = (
        "connections", "new clients meanwhile", "answered", "refused (503)", "failed", "median, ms", "slowest, ms",
        "answered after all had left, ms", "log lines a second", "descriptors",
    )  # fmt: skip
    return table(head, [_row(result) for result in results])


def _row(result: DescriptorResult) -> list[str]:
    statuses = [status for status, _ in result.during]
    times = [1000 * seconds for _, seconds in result.during]
    failed = sum(status not in (200, 503) for status in statuses)
    counts = [len(statuses), statuses.count(200), statuses.count(503), failed]
    measured = [statistics.median(times), max(times), 1000 * result.after]
    return [
        _NAMES[result.kind],
        *map(str, counts),
        *(f"{value:.0f}" for value in measured),
        f"{result.lines:.1f}",
        f"{result.files}",
    ]


def _measure(address: str, kind: str, files: int, connections: int, seconds: float) -> DescriptorResult:
    result = DescriptorResult(kind)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        wrapper = ["sh", "-c", _LIMITED, "sh", str(files), str(log)]
        with servers.function(address, {"LOG_LEVEL": "info"}, wrapper=wrapper) as function:
            port, pid = function.port, function.pid
            with beside(SlowJob(port, kind, connections, _CONNECT_S), SlowCounts()):
                time.sleep(2 * _CONNECT_S)
                before, began = _lines(log), time.monotonic()
                while time.monotonic() < began + seconds:
                    result.during.append(_new_client(port))
                    result.files = max(result.files, descriptors(pid))
                    time.sleep(_PAUSE_S)
                result.lines = (_lines(log) - before) / (time.monotonic() - began)
            left = time.perf_counter()
            while time.perf_counter() < left + _RECOVER_S:
                if _new_client(port)[0] == 200:
                    result.after = time.perf_counter() - left
                    break
    return result


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
    """The number of log lines, without those of requests that got status 200."""
    return sum("status=200" not in line for line in log.read_text().splitlines())
