"""Metrics on a port of their own: there alone, under each runtime, whatever else connects to it."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest
import requests

from tests.support.functions import post, start
from tests.support.runtimes import start as start_runtime
from tests.support.servers import ServerProcess

ON = r"Metrics on (http://[^\s\"]+)"


@pytest.mark.parametrize("runtime", ["server", "func", "parliament"])
def test_each_runtime_has_it(agent: ServerProcess, tmp_path: Path, runtime: str) -> None:
    """The port has the metrics and nothing else, and the routes of the function are without them."""
    server = start_runtime(runtime, tmp_path, agent.addresses["unix"], METRICS_PORT="0")
    try:
        url = server.wait_for(ON)[1]
        assert post(server, {"text": "tea"}, path="/").status_code == 200
        scraped = requests.get(url, timeout=5)
        assert scraped.headers["Content-Type"].startswith("text/plain")
        assert 'function_requests_total{code="200",route="/"} 1.0' in scraped.text
        assert requests.get(url.replace("/metrics", "/classify"), timeout=5).status_code == 404
        assert requests.post(url, data=b"x", timeout=5).status_code == 501
        public = server.addresses["http"]
        assert requests.get(f"{public}/metrics", timeout=5).status_code == 404
        assert "metrics" not in requests.get(public, headers={"Accept": "application/json"}, timeout=5).json()["links"]
    finally:
        assert server.stop(signal.SIGTERM) == 0, server.text
    assert "Traceback" not in server.text
    assert '"GET /metrics' not in server.text


def test_idle_and_broken_connections_do_not_hold_it(agent: ServerProcess, tmp_path: Path) -> None:
    """A connection that sends nothing, nonsense, or half a request is closed, and the next scrape is answered."""
    server = start(tmp_path, agent.addresses["unix"], METRICS_PORT="0")
    try:
        url = server.wait_for(ON)[1]
        port = int(url.rpartition(":")[2].partition("/")[0])
        with socket.create_connection(("127.0.0.1", port)):
            for sent in (b"\0\xff\r\n\r\n", b"GET /metrics HTTP/1.1\r\nHost", b"x" * 70_000):
                with socket.create_connection(("127.0.0.1", port)) as client:
                    client.sendall(sent)
            assert requests.get(url, timeout=15).status_code == 200
        document = requests.get(server.addresses["http"] + "/openapi.json", timeout=5).json()
        assert "/metrics" not in document["paths"]
    finally:
        assert server.stop() == 0
    assert "Traceback" not in server.text


@pytest.mark.parametrize("port", ["same", "taken"])
def test_a_port_that_it_cannot_have(tmp_path: Path, port: str) -> None:
    """One line says so."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = str(taken.getsockname()[1])
        env = {"METRICS_PORT": number, "PORT": number if port == "same" else "0"}
        with pytest.raises(AssertionError):
            start(tmp_path, f"unix://{tmp_path}/a.sock", **env)
    same = f"METRICS_PORT={number}: it must differ from PORT"
    taken_by_others = f"cannot listen on 127.0.0.1:{number}: Address already in use; set METRICS_PORT to another one"
    said = same if port == "same" else taken_by_others
    assert (tmp_path / "function.log").read_text().endswith(f"function: {said}\n")
