"""What gets installed is whole: the wheel in an empty environment starts and answers."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import requests

from tests.support.paths import ROOT
from tests.support.servers import Server
from vaccel_rpc import __version__


def test_the_wheel_starts_in_an_empty_environment(agent: Server, tmp_path: Path) -> None:
    """Function, agent, protocol and model are in it; the function runs with the base dependencies alone."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(tmp_path), str(ROOT)], check=True, timeout=100)
    (wheel,) = tmp_path.glob("function-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        "function/web/app.py",
        "function/func.py",
        "function/web/page/index.html",
        "function/web/page/page.js",
        "function/web/page/style.css",
        "agent/service.py",
        "vaccel_rpc/client.py",
        "models/tweets.pt",
        "models/tweets.pt.sha256",
    ):
        assert name in names
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv/bin/python"
    subprocess.run(
        [*pip, "--python", str(python), "install", "-c", str(ROOT / "constraints.txt"), str(wheel)], check=True, timeout=100
    )
    env = {"VACCEL_RPC_ADDRESS": agent.addresses["unix"], "PORT": "0", "HOST": "127.0.0.1"}
    log = (tmp_path / "log").open("wb")
    server = Server(
        subprocess.Popen([str(python), "-m", "function"], cwd=tmp_path, env=env, stdout=log, stderr=log), tmp_path / "log"
    )
    try:
        url = server.wait_for(r"Listening on (http://\S+)")[1]
        answer = requests.post(url, data="good morning", headers={"Content-Type": "text/plain"}, timeout=20)
        assert answer.json()["model"]["name"] == "tweets"
    finally:
        assert server.stop() == 0
    torch = subprocess.run([str(python), "-c", "import torch"], capture_output=True, check=False)
    assert torch.returncode != 0


def test_the_version_is_said_once() -> None:
    """What answers and metrics say is what is installed."""
    assert version("function") == __version__
