"""Runs podman for the tests.

A bench removes what it created when it is closed; the configuration of the machine is not changed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.images import PREFIX, VERSION

_PREFIX, _TAG = os.environ.get("IMAGE_PREFIX") or PREFIX, os.environ.get("TAG") or VERSION
FUNCTION, AGENT, HELLO = (f"{_PREFIX}/vaccel-{name}:{_TAG}" for name in ("function", "agent", "hello"))
CONF = Path(__file__).with_name("containers.conf")
#: As the charts set it: no write to the root, no capability and no way to get one. podman's own tmpfs on /run and /tmp, which
#: Kubernetes does not have, are off.
RESTRICTED = ("--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges")
#: podman makes it for the first pod that names no network.
_KUBE_NETWORK = "podman-default-kube-network"
_numbers = itertools.count()


class PodmanError(Exception):
    """podman failed; the message is what it said."""


def podman(*arguments: str, seconds: float = 90) -> str:
    """Its standard output. Raises `PodmanError`."""
    command = ["podman", *arguments]
    environment = {**os.environ, "CONTAINERS_CONF": str(CONF)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=seconds, check=False)
    if done.returncode:
        raise PodmanError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


def start(*arguments: str, **more: Any) -> subprocess.Popen[bytes]:
    """podman as a process of its own, for what is attached to a container."""
    return subprocess.Popen(["podman", *arguments], env={**os.environ, "CONTAINERS_CONF": str(CONF)}, **more)


def inspect(kind: str, name: str) -> dict[str, Any]:
    """What podman knows of a container, image or volume."""
    details: dict[str, Any] = json.loads(podman(kind, "inspect", name))[0]
    return details


@dataclass(frozen=True)
class Container:
    """A container by its name."""

    name: str

    @property
    def state(self) -> dict[str, Any]:
        """podman's State: Status, ExitCode, Pid, StartedAt."""
        state: dict[str, Any] = inspect("container", self.name)["State"]
        return state

    @property
    def log(self) -> str:
        """Standard output and error, in order."""
        environment = {**os.environ, "CONTAINERS_CONF": str(CONF)}
        command = ["podman", "logs", self.name]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, timeout=60, check=True)
        return done.stdout.decode(errors="replace")

    @property
    def ip(self) -> str:
        """Its address on the one network it is on."""
        (network,) = inspect("container", self.name)["NetworkSettings"]["Networks"].values()
        return str(network["IPAddress"])

    def python(self, code: str) -> str:
        """What Python code run in the container prints."""
        return podman("exec", self.name, "python", "-c", code)

    def status(self, field: str) -> str:
        """A field of process 1's status. Source: proc(5)."""
        return field_of(self.state["Pid"], field)

    def wait_for(self, pattern: str, seconds: float = 60) -> re.Match[str]:
        """The first match in the log; fails with the log when the container ends or time is up."""
        end = time.monotonic() + seconds
        while True:
            over = time.monotonic() > end or self.state["Status"] == "exited"
            match = re.search(pattern, self.log)
            if match:
                return match
            if over:
                raise AssertionError(f"no {pattern!r} in the log of {self.name} ({self.state['Status']}):\n{self.log}")
            time.sleep(0.05)

    def wait(self, seconds: float) -> int | None:
        """Its exit code, or None where it has not ended after ``seconds``."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            state = self.state
            if state["Status"] == "exited":
                return int(state["ExitCode"])
            time.sleep(0.02)
        return None

    def signal(self, name: str) -> None:
        """Sends process 1 a signal."""
        podman("kill", "--signal", name, self.name)


def field_of(pid: int, field: str) -> str:
    """A field of a process's status, as this machine sees it. Source: proc(5)."""
    text = Path(f"/proc/{pid}/status").read_text()
    return next(line for line in text.splitlines() if line.startswith(f"{field}:")).split(":", 1)[1].strip()


def mib(pid: int) -> float:
    """Resident memory of a process."""
    return int(field_of(pid, "VmRSS").split()[0]) / 1024


class Bench:
    """Makes containers, volumes and networks, and removes them."""

    def __init__(self) -> None:
        self._prefix = f"vaccel-e2e-{os.getpid()}"
        self._made: list[tuple[str, ...]] = []

    def run(
        self,
        image: str,
        *command: str,
        name: str = "",
        options: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
        restricted: bool = True,
    ) -> Container:
        """Starts a container in the background. The agent gets the /tmp that it needs for uploads, as in the charts."""
        name = name or self.name()
        self._made.append(("rm", "-f", "-t", "0", "-v", "--ignore", name))
        podman("run", "-d", *self.options(image, name, options, env, restricted=restricted), image, *command)
        return Container(name)

    @staticmethod
    def options(
        image: str, name: str, options: tuple[str, ...], env: Mapping[str, str] | None, *, restricted: bool = True
    ) -> list[str]:
        """podman run's options."""
        variables = [f"--env={key}={value}" for key, value in (env or {}).items()]
        scratch = ["--tmpfs=/tmp"] if image == AGENT and restricted else []
        return [f"--name={name}", *(RESTRICTED if restricted else ()), *scratch, *variables, *options]

    def volume(self) -> str:
        """An empty volume."""
        name = self.name()
        podman("volume", "create", name)
        self._made.append(("volume", "rm", "-f", name))
        return name

    def network(self) -> str:
        """A bridge on which containers find each other by name."""
        name = self.name()
        podman("network", "create", name)
        self._made.append(("network", "rm", "-f", name))
        return name

    def forget_image(self, name: str) -> None:
        """Removes an image that the test has built, at the end."""
        self._made.append(("rmi", "-f", name))

    def play(self, file: Path, *options: str) -> None:
        """Starts what a Kubernetes file describes."""
        if _KUBE_NETWORK not in podman("network", "ls", "-q").split():
            self._made.append(("network", "rm", "-f", _KUBE_NETWORK))
        self._made.append(("play", "kube", "--down", str(file)))
        podman("play", "kube", *options, str(file))

    @staticmethod
    def stop_pod(name: str, seconds: int) -> None:
        """Ends a pod as a kubelet does: SIGTERM to all, SIGKILL after the grace."""
        podman("pod", "stop", "-t", str(seconds), name)

    def name(self) -> str:
        """A name that nothing has yet."""
        return f"{self._prefix}-{next(_numbers)}"

    def remove(self, container: Container) -> None:
        """Removes a container now."""
        podman("rm", "-f", "-t", "0", "-v", "--ignore", container.name)

    def close(self) -> None:
        """Removes everything, the last first."""
        while self._made:
            with contextlib.suppress(PodmanError):
                podman(*self._made.pop())
