"""Locust itself against real and false servers."""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadkit.processes import free_port
from tests.support.functions import function_of, wait_until_ready
from tests.support.optional import needs_path
from tests.support.paths import ROOT
from tests.support.responses import answer
from tests.support.servers import ServerProcess
from tests.support.smallmodel import write_small_model

LOCUST = ROOT / ".venv-loadtest/bin/locust"
needs_locust = needs_path(LOCUST, "make .venv-loadtest/installed")
#: What the fixture ``function`` sets for the tests of this module.
FUNCTION_ENV = {"READ_TIMEOUT_S": "2"}
REFUSED = [
    (["--texts", "/nowhere.txt"], "/nowhere.txt: No such file"),
    (["--pair-column", "b"], "--pair-column b needs a file of pairs: --texts FILE"),
    (["--tags", "nothing"], "no user has a task"),
    (["--rpc-address", "grpc://127.0.0.1:1"], "RawRpc speaks ttrpc"),
    (["--max-fail-ratio", "2"], "'2': a number, at least 0 and at most 1 is needed"),
    (["--shape", "waves"], "invalid choice"),
]


def locust(*options: str) -> subprocess.CompletedProcess[str]:
    command = [str(LOCUST), "-f", "loadtests/locustfile.py", "--headless", "--only-summary", *options]
    return subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100, check=False
    )  # fmt: skip


@needs_locust
def test_every_user_finds_the_function_right(agent: ServerProcess, function: ServerProcess, tmp_path: Path) -> None:
    """All classes, HTTP and RPC: no failure, exit code 0, the limits named, CSV and HTML written."""
    options = ["-u", "18", "-r", "18", "-t", "6s", "--shape", "steady", "--stop-timeout", "10", "--think", "0.2"]
    reports = ["--csv", str(tmp_path / "run"), "--html", str(tmp_path / "run.html")]
    done = locust(
        *options,
        *reports,
        "--host",
        function.addresses["http"],
        "--rpc-address",
        agent.addresses["unix"],
        "--max-p95-ms",
        "60000",
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"ok: fail ratio 0\.0000 \(0 of \d+\), limit --max-fail-ratio 0\n", done.stdout)
    assert re.search(r"ok: p95 \d+ ms, limit --max-p95-ms 60000\n", done.stdout)
    stats = (tmp_path / "run_stats.csv").read_text()
    for name in ("one text", "16 texts", "line of a stream", "stream of lines", "event, ", "v2 infer", "misbehaving: "):
        assert name in stats
    assert "RPC,run," in stats
    assert (tmp_path / "run.html").exists()


@needs_locust
def test_pairs_of_a_file_are_sent_by_every_user(agent: ServerProcess, tmp_path: Path) -> None:
    """Beside single texts, to a model that takes both, over HTTP and RPC: no answer is another pair's."""
    model, rows = write_small_model(tmp_path / "pairs.pt", "allowed"), tmp_path / "rows.tsv"
    pairs = [("tea and cake", "at four"), ("tea and cake", "the match was on very late, so I slept until ten"), ("see you", "")]
    rows.write_text("a\tb\n" + "".join(f"{first}\t{second}\n" for first, second in pairs))
    columns = ("--texts", str(rows), "--column", "a", "--pair-column", "b")
    with function_of(tmp_path, agent.addresses["unix"], MODEL=str(model)) as function:
        wait_until_ready(function)
        done = locust(
            "-u", "16", "-r", "16", "-t", "4s", "--shape", "steady", "--stop-timeout", "10", "--think", "0.1", *columns,
            "--host", function.addresses["http"], "--rpc-address", agent.addresses["unix"], "--tokenizer", str(model),
            "--model", "pairs", "--exclude-tags", "misbehaving",
        )  # fmt: skip
    assert done.returncode == 0, done.stdout
    for name in ("one text", "one pair, form", "16 texts", "line of a stream", "event, ", "v2 infer", "run"):
        assert name in done.stdout


@needs_locust
def test_misbehaving_is_told_so(function: ServerProcess) -> None:
    """Slow bytes get their 408, and after a hang-up the function lives."""
    done = locust("-u", "9", "-r", "9", "-t", "5s", "--shape", "steady", "--stop-timeout", "10", "--host", function.addresses["http"],
                  "--tags", "slow", "hang-up")  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "misbehaving: slow bytes" in done.stdout
    assert "misbehaving: hang-up" in done.stdout


@needs_locust
def test_an_impossible_limit_fails(function: ServerProcess) -> None:
    """The run exits with 1, and a line says which limit failed."""
    done = locust("-u", "2", "-r", "2", "-t", "2s", "--host", function.addresses["http"], "--max-p99-ms", "0.001", "SingleTexts")
    assert done.returncode == 1
    assert re.search(r"FAILED: p99 \d+ ms, limit --max-p99-ms 0\.001\n", done.stdout)
    assert "Traceback" not in done.stdout


@needs_locust
def test_a_master_decides_for_its_workers(function: ServerProcess, tmp_path: Path) -> None:
    """The master counts what its workers counted, and they end with 0."""
    port = str(free_port())
    worker = [str(LOCUST), "-f", "loadtests/locustfile.py", "--worker", "--master-host", "127.0.0.1", "--master-port", port]
    with (tmp_path / "workers.log").open("wb") as log:
        workers = [subprocess.Popen(worker, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log) for _ in range(2)]
        done = locust("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--expect-workers", "2",
                      "--expect-workers-max-wait", "60", "-u", "4", "-r", "4", "-t", "3s", "--shape", "steady", "--stop-timeout", "10",
                      "--host", function.addresses["http"], "--max-p95-ms", "0.001", "SingleTexts", "BatchUsers")  # fmt: skip
        codes = [process.wait(30) for process in workers]
    assert codes == [0, 0], (tmp_path / "workers.log").read_text()
    assert done.returncode == 1, done.stdout
    assert re.search(r"ok: fail ratio 0\.0000 \(0 of [1-9]\d*\)", done.stdout)
    assert "FAILED: p95 " in done.stdout


class _Wrong(http.server.BaseHTTPRequestHandler):
    """Gives one text a label of no model, and several texts an answer too few."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        wrong = {"predictions": [answer()] * (len(request["texts"]) - 1)} if "texts" in request else answer(label="nonsense")
        body = json.dumps(wrong).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def wrong_server() -> Iterator[str]:
    """The address of a server whose answers are wrong."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Wrong) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@needs_locust
def test_wrong_answers_are_failures(wrong_server: str) -> None:
    """Fast, with status 200, and wrong: counted with the reason, exit code 1."""
    done = locust(
        "-u", "4", "-r", "4", "-t", "3s", "--host", wrong_server, "--tags", "single", "batch", "--exclude-tags", "plain"
    )
    assert done.returncode == 1
    assert re.search(r"FAILED: fail ratio 1\.0000 ", done.stdout)
    assert "the label is not one of the model's" in done.stdout
    assert "the number of predictions is not the number of texts" in done.stdout


@needs_locust
@pytest.mark.parametrize(("options", "says"), REFUSED, ids=[says for _, says in REFUSED])
def test_what_cannot_be_is_said_first(options: list[str], says: str) -> None:
    """An impossible option is refused before anything is sent."""
    done = locust("-t", "1s", "--host", "http://127.0.0.1:9", *options)
    assert done.returncode != 0
    assert says in done.stdout
    assert "Traceback" not in done.stdout


@needs_locust
def test_a_missing_package_is_one_line(tmp_path: Path) -> None:
    """Of those that the load tests need beside Locust itself."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['google'] = None\n")
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    command = [str(LOCUST), "-f", "loadtests/locustfile.py", "--headless", "--host", "http://127.0.0.1:1"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "locust needs the package google, which is not installed: make .venv-loadtest/installed\n"
