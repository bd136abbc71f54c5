"""``make run``: starts an agent and the function, shows one request, and serves until Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from loadkit.processes import ROOT, spawn
from loadkit.texts import TEXT
from vaccel_common.number_kinds import Integer

_READY_S = 120
_MODEL = "models/tweets.pt"


def main() -> int:
    """Runs both processes. Exit code 0 after Ctrl-C, 1 if one does not start or ends, 2 for a PORT or MODEL that cannot be."""
    value = os.environ.get("PORT", "8080")
    try:
        port = Integer(1, 65535).parse(value)
    except ValueError as error:
        return _fail(f"PORT={value!r}: {error}", 2)
    model = Path(os.environ.get("MODEL") or _MODEL)
    if not (ROOT / model).is_file():
        return _fail(f"MODEL={str(model)!r}: no such file; the path of a model file is needed", 2)
    if _busy(port):
        return _fail(f"port {port} is in use; choose another one: make run PORT={port + 1}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="vaccel-") as folder:
        address = f"unix://{folder}/vaccel.sock"
        _say(f"Starting the agent on {address} with the model {model}")
        agent = _start("agent", "-a", address, "--models", str(model.parent), "--preload", model.name, "--log-level", "warn")
        _say(f"Starting the function on http://127.0.0.1:{port}")
        function = _start("function", VACCEL_RPC_ADDRESS=address, MODEL=str(model), PORT=str(port), HOST="127.0.0.1")
        try:
            return _show(f"http://127.0.0.1:{port}", [agent, function])
        except KeyboardInterrupt:
            _say("\nStopping")
            return 0
        finally:
            for process in (function, agent):
                process.terminate()
            for process in (function, agent):
                process.wait()


def _show(url: str, processes: list[subprocess.Popen[bytes]]) -> int:
    end = time.monotonic() + _READY_S
    _say("Waiting for both; the agent needs a few seconds to load torch")
    while not _ready(url):
        if any(process.poll() is not None for process in processes) or time.monotonic() > end:
            return _fail("the agent or the function did not start; their messages are above")
        time.sleep(0.1)
    request = urllib.request.Request(f"{url}/classify", json.dumps({"text": TEXT}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        _say(f"\n{TEXT!r} is:\n{json.dumps(json.load(answer), indent=2)}")
    body = json.dumps({"text": "your own words"})
    _say(
        f"\nTry it:\n  {url}/ in a browser\n  curl {url}/classify -H 'Content-Type: application/json' -d '{body}'\nCtrl-C stops both."
    )
    while all(process.poll() is None for process in processes):
        time.sleep(0.2)
    return _fail("the agent or the function has exited")


def _start(module: str, *options: str, **env: str) -> subprocess.Popen[bytes]:
    # A process group of its own: Ctrl-C reaches only this program, which stops the two in order.
    return spawn([sys.executable, "-m", module, *options], env)


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health/readiness", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _busy(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _say(line: str) -> None:
    print(line, flush=True)


def _fail(line: str, code: int = 1) -> int:
    print(f"make run: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
