"""What gets installed is whole: the wheel in an empty environment starts and answers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import time
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import requests

from export.tokenizer import write_tokenizer_file
from function.load import SHIPPED_TOKENIZER
from scripts import requirements, version
from tests.support.installing import empty_environment, install
from tests.support.paths import ROOT, TWEETS, shipped_store
from tests.support.servers import ServerProcess
from vaccel_common.digestfile import digest_beside
from vaccel_rpc import __version__

LARGEST_WHEEL = 2_000_000


def test_the_wheel_is_that_of_a_thin_client(wheel: Path) -> None:
    """Function, agent, protocol and the tokenizer of the model that ships are in it; the model itself is not."""
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.stat().st_size < LARGEST_WHEEL
    for name in (
        "function/web/app.py",
        "function/func.py",
        "function/web/page/index.html",
        "function/web/page/page.js",
        "function/web/page/style.css",
        "agent/service.py",
        "function/tweets.tokenizer",
        "vaccel_rpc/client.py",
    ):
        assert name in names
    packages = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert packages == {"agent", "function", "vaccel_common", "vaccel_rpc"}


def test_the_shipped_tokenizer_belongs_to_the_shipped_model(tmp_path: Path) -> None:
    """`python -m models.tokenizer` writes the same bytes again, the model's sha256 among them."""
    write_tokenizer_file(TWEETS, tmp_path / "tweets.tokenizer")
    assert (tmp_path / "tweets.tokenizer").read_bytes() == SHIPPED_TOKENIZER.read_bytes()


def test_the_wheel_starts_in_an_empty_environment(agent: ServerProcess, wheel: Path, tmp_path: Path) -> None:
    """Without MODEL and without a checkout the function names the shipped model by its digest; the base dependencies are enough."""
    python = empty_environment(tmp_path / "venv")
    install(python, str(wheel), cwd=tmp_path)
    env = {"VACCEL_RPC_ADDRESS": agent.addresses["unix"], "PORT": "0", "HOST": "127.0.0.1"}
    log = (tmp_path / "log").open("wb")
    server = ServerProcess(
        subprocess.Popen([str(python), "-m", "function"], cwd=tmp_path, env=env, stdout=log, stderr=log), tmp_path / "log"
    )
    try:
        url = server.wait_for(r"Listening on (http://\S+)")[1]
        answer = requests.post(url, data="good morning", headers={"Content-Type": "text/plain"}, timeout=20)
        assert answer.json()["model"] == {"name": "tweets", "sha256": digest_beside(TWEETS)}
    finally:
        assert server.stop() == 0
    torch = subprocess.run([str(python), "-c", "import torch"], capture_output=True, check=False)
    assert torch.returncode != 0


def test_agent_grpc_and_traces_run_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """The extras agent, grpc and otel need no module of the checkout: only the wheel and the libraries can be imported."""
    code = tmp_path / "code"
    zipfile.ZipFile(wheel).extractall(code)
    # With -S no .pth file is read, so the editable installation of the checkout is not found.
    libraries = sysconfig.get_path("purelib")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{code}{os.pathsep}{libraries}", "OTEL_TRACES_EXPORTER": "console"}

    def start(name: str, *options: str, **more: str) -> ServerProcess:
        with (tmp_path / name).open("wb") as log:
            command = [sys.executable, "-S", "-m", name, *options]
            process = subprocess.Popen(command, cwd=tmp_path, env={**env, **more}, stdout=log, stderr=subprocess.STDOUT)
        return ServerProcess(process, tmp_path / name)

    agent = start("agent", "-a", f"grpc+unix://{tmp_path}/agent.sock", "--models", str(shipped_store()), "--preload", "tweets")
    function = start("function", VACCEL_RPC_ADDRESS=f"grpc+unix://{tmp_path}/agent.sock", PORT="0", HOST="127.0.0.1")
    try:
        agent.wait_for("agent ready")
        url = function.wait_for(r"Listening on (http://\S+)")[1]
        end = time.monotonic() + 30
        while (response := requests.post(url, json={"text": "good morning"}, timeout=20)).status_code == 503:
            assert time.monotonic() < end, function.text
            time.sleep(0.1)
        assert response.json()["model"]["sha256"] == digest_beside(TWEETS)
    finally:
        assert function.stop() == 0
        assert agent.stop() == 0
    assert '"trace_id"' in function.text


def test_the_version_has_one_source(wheel: Path) -> None:
    """The wheel, charts, manifests, images and docs name the version of `vaccel_rpc`: `make version` writes it there."""
    assert wheel.name == f"function-{__version__}-py3-none-any.whl"
    assert [f"{path}:{line}: {number}" for path, line, number in version.places() if number != __version__] == []


def test_only_extras_that_the_wheel_can_use_are_published(wheel: Path) -> None:
    """Tools of a checkout have dependency groups; no requirement names the project, which is another's name on the index."""
    metadata = metadata_of(wheel)
    assert metadata.get_all("Provides-Extra") == ["agent", "func", "grpc", "onnx", "otel", "parliament"]
    names = [requirements.package(line) for line in metadata.get_all("Requires-Dist") or []]
    assert "function" not in names


def test_the_metadata_describes_the_project(wheel: Path) -> None:
    """Licence, authors, tested versions of Python; every package says that it is typed."""
    metadata = metadata_of(wheel)
    assert (metadata["License-Expression"], metadata["Requires-Python"]) == ("Apache-2.0", ">=3.11")
    assert metadata["Author"]
    assert "Programming Language :: Python :: 3.11" in metadata.get_all("Classifier", [])
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"{package}/py.typed" for package in ("agent", "function", "vaccel_common", "vaccel_rpc")} <= set(names)


def test_no_hint_names_the_project_on_the_public_index() -> None:
    """`pip install function` would install another project's package."""
    paths = [path for pattern in ("[!.]*/**/*.py", "[!.]*/**/*.md", "*.md") for path in ROOT.glob(pattern)]
    assert len(paths) > 100
    hint = re.compile(r"pip install [^\n]*\bfunction\[")
    assert [str(path) for path in paths if hint.search(path.read_text())] == []


def metadata_of(wheel: Path) -> Message:
    """The wheel's METADATA."""
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(f"function-{__version__}.dist-info/METADATA").decode())
