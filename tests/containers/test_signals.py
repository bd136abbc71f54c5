"""Each program as process 1 of its container: SIGTERM ends it, whenever it comes.

The kernel ignores SIGTERM for a process 1 that has no handler, and Kubernetes then waits the whole grace time and kills.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.containers import bench as containers
from tests.containers.bench import AGENT, FUNCTION, Bench, Container, field_of

pytestmark = pytest.mark.containers

_SIGTERM = 1 << (15 - 1)
#: Seconds within which a container must have ended; Knative and Kubernetes give 30.
_GRACE_S = 10.0
#: Seconds after its start in which the process may be deaf: Python itself starts, and nothing can be done before. Measured: 0.04 to 0.08.
_DEAF_S = 0.25


def ended(container: Container, seconds: float = _GRACE_S) -> int:
    """Its exit code; fails where it does not end."""
    code = container.wait(seconds)
    assert code is not None, f"did not end within {seconds:g} s:\n{container.log}"
    return code


@pytest.mark.parametrize("program", ["function", "agent"])
def test_a_server_ends(bench: Bench, socket_volume: str, program: str) -> None:
    """SIGTERM while it serves: exit code 0, and the log says so."""
    if program == "function":
        container, ready = bench.run(FUNCTION, options=(f"-v={socket_volume}:/var/run/vaccel",)), "Listening on"
    else:
        container, ready = bench.run(AGENT, options=(f"-v={bench.volume()}:/var/run/vaccel",)), "agent ready"
    container.wait_for(ready)
    container.signal("TERM")
    assert ended(container) == 0
    assert "topped" in container.log.splitlines()[-1]


def test_the_classifier_ends(bench: Bench, socket_volume: str) -> None:
    """SIGTERM while it waits for the next line: what it had is summed up, exit code 128 + 15."""
    name = bench.name()
    options = bench.options(FUNCTION, name, (f"-v={socket_volume}:/var/run/vaccel", "--entrypoint=vaccel-classifier"), None)
    command = ["run", "-i", *options, FUNCTION, "-m", "/models/tweets.tokenizer", "-f", "-"]
    attached = containers.start(*command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    container = Container(name)
    try:
        assert attached.stdin is not None
        attached.stdin.write(b"Tea and cake at four\n")
        attached.stdin.flush()
        time.sleep(0.5)
        container.wait_for("Line 1: ")
        container.signal("TERM")
        assert ended(container) == 143
        assert "interrupted after 1 lines" in container.log
    finally:
        attached.kill()
        attached.wait()
        bench.remove(container)


def test_the_classifier_ends_in_a_large_file(bench: Bench, socket_volume: str) -> None:
    """SIGTERM in the middle of 200,000 lines ends the classifier."""
    volume = bench.volume()
    write = "open('/data/texts.txt', 'w').write('a line like the others\\n' * 200_000)"
    data = (f"-v={volume}:/data", "--user=0", "--entrypoint=python")
    assert ended(bench.run(FUNCTION, "-c", write, options=data, restricted=False)) == 0
    options = (f"-v={socket_volume}:/var/run/vaccel", f"-v={volume}:/data:ro", "--entrypoint=vaccel-classifier")
    arguments = ("-m", "/models/tweets.tokenizer", "-f", "/data/texts.txt", "--batch", "32")
    container = bench.run(FUNCTION, *arguments, options=options)
    container.wait_for("Line 32: ")
    container.signal("TERM")
    assert ended(container) == 143
    assert "interrupted after" in container.log


def test_an_agent_ends_while_a_batch_runs_for_nobody(bench: Bench) -> None:
    """SIGTERM just after a client was killed whose batches still run: exit code 0 all the same."""
    data, sockets = bench.volume(), bench.volume()
    write = "open('/data/texts.txt', 'w').write((30 * 'a lovely walk to the station ' + '\\n') * 2000)"
    fill = bench.run(FUNCTION, "-c", write, options=(f"-v={data}:/data", "--user=0", "--entrypoint=python"), restricted=False)
    assert ended(fill) == 0
    volumes = (f"-v={sockets}:/var/run/vaccel", f"-v={data}:/data:ro")
    arguments = ("-m", "/models/tweets.tokenizer", "-f", "/data/texts.txt", "--batch", "8", "--jobs", "4", "--wait", "30")
    for pause in (0.01, 0.03, 0.05, 0.1):
        agent = bench.run(AGENT, options=volumes)
        client = bench.run(FUNCTION, *arguments, options=(*volumes, "--entrypoint=vaccel-classifier"))
        client.wait_for("Line 9: ")
        pids = client.state["Pid"], agent.state["Pid"]
        os.kill(pids[0], signal.SIGKILL)
        time.sleep(pause)
        os.kill(pids[1], signal.SIGTERM)
        assert ended(agent) == 0, agent.log
        bench.remove(client)


@pytest.mark.parametrize(("program", "code"), [("function", 0), ("vaccel-rpc-agent", 0), ("vaccel-classifier", 143)])
def test_right_at_the_start(bench: Bench, tmp_path: Path, program: str, code: int) -> None:
    """SIGTERM as soon as the process can hear it, a fraction of a second after its start and before it serves."""
    image = AGENT if program == "vaccel-rpc-agent" else FUNCTION
    arguments = ("-m", "/models/tweets.tokenizer", "-f", "-", "--wait", "60") if program == "vaccel-classifier" else ()
    entry = () if program == "function" else (f"--entrypoint={program}",)
    file = tmp_path / "pid"
    options = (f"-v={bench.volume()}:/var/run/vaccel", f"--pidfile={file}", *entry)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(bench.run, image, *arguments, options=options)
        pid = started(file)
        began = time.monotonic()
        while not hears_sigterm(pid):
            time.sleep(0.001)
        deaf = time.monotonic() - began
        os.kill(pid, signal.SIGTERM)
        container = running.result()
    assert ended(container) == code
    assert deaf < _DEAF_S
    assert "Listening" not in container.log
    assert "Traceback" not in container.log


def started(file: Path) -> int:
    """The process id that podman writes into a file, once the runtime has executed the program."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError):
            pid = int(file.read_text())
            if "python" in Path(f"/proc/{pid}/exe").readlink().name:
                return pid
        time.sleep(0.001)
    raise AssertionError("no process was started")


def test_a_process_without_a_handler_is_seen(bench: Bench) -> None:
    """The checks above refuse a program that leaves SIGTERM alone."""
    container = bench.run(FUNCTION, "-c", "import time; time.sleep(60)", options=("--entrypoint=python",))
    time.sleep(0.3)
    assert not hears_sigterm(container.state["Pid"])
    container.signal("TERM")
    with pytest.raises(AssertionError, match="did not end"):
        ended(container, 2)


def hears_sigterm(pid: int) -> bool:
    """Whether the process has a handler for it. Source: proc(5), SigCgt."""
    return bool(int(field_of(pid, "SigCgt"), 16) & _SIGTERM)
