"""What an image and a container of it must be; each check gives the reasons why it is not."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.containers.bench import Container, inspect
from vaccel_rpc import __version__

USER = "65532:65532"
LABELS = {
    "title": r"vaccel-(function|agent)",
    "description": r".{20,}",
    "version": re.escape(__version__),
    "revision": r"[0-9a-f]{40}|unknown",
    "licenses": r"Apache-2\.0",
    "created": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
}
_SHELLS = {"sh", "bash", "/bin/sh", "/bin/bash"}
_PATHS = ("/", "/app", "/etc", "/models", "/opt/venv", "/opt/venv/lib")
_PROBE = f"""
import errno, json, os
def write(folder):
    try:
        with open(os.path.join(folder, "probe"), "w"):
            return "written"
    except OSError as error:
        return errno.errorcode[error.errno]
status = dict(line.rstrip().split(":\\t", 1) for line in open("/proc/1/status") if ":\\t" in line)
print(json.dumps({{"uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "status": status,
                   "writes": {{folder: write(folder) for folder in {_PATHS}}}}}))
"""


def image_problems(image: dict[str, Any]) -> list[str]:
    """Reasons why an image (podman's description of it) breaks the policy."""
    config, labels = image["Config"], image["Config"].get("Labels") or {}
    entry = config.get("Entrypoint") or [""]
    problems = [
        *([f"user {config.get('User')!r}"] if config.get("User") != USER else []),
        *([f"entry point {entry} is a shell"] if entry[0] in _SHELLS else []),
        *([] if any(line.startswith("PATH=/opt/venv/bin:") for line in config.get("Env", [])) else ["no PATH"]),
    ]
    for name, pattern in LABELS.items():
        if not re.fullmatch(pattern, labels.get(f"org.opencontainers.image.{name}", "")):
            problems.append(f"label {name}")
    if len(model_layers(image)) != 1:
        problems.append("the model has no layer of its own")
    return problems


def model_layers(image: dict[str, Any]) -> list[str]:
    """The steps that put something into /models."""
    steps = [step["created_by"] for step in image["History"] if not step.get("empty_layer")]
    return [step for step in steps if re.search(r"(COPY|ADD) \S+ in /models/?\s*$", step)]


def mb_over_base(image: dict[str, Any], model: int = 0) -> float:
    """Its unpacked size in MB, without the base's and ``model`` bytes of a model."""
    base: dict[str, Any] = inspect("image", image["Annotations"]["org.opencontainers.image.base.name"])
    return float(image["Size"] - base["Size"] - model) / 1e6


def container_problems(container: Container) -> list[str]:
    """Reasons why a running container breaks the policy, as seen from inside."""
    seen = json.loads(container.python(_PROBE))
    status = seen["status"]
    return [
        *([f"runs as {seen['uid']}:{seen['gid']}"] if f"{seen['uid']}:{seen['gid']}" != USER else []),
        *(["is in the group of root"] if 0 in seen["groups"] else []),
        *(f"a write to {folder} gives {result}, not EROFS" for folder, result in seen["writes"].items() if result != "EROFS"),
        *(f"{name} is {status[name]}" for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb") if int(status[name], 16)),
        *(["may gain privileges"] if status["NoNewPrivs"] != "1" else []),
        *(["no seccomp filter"] if status["Seccomp"] != "2" else []),
    ]


def compiled_at_start(log: str) -> list[str]:
    """The source files that Python had to compile, by the log of ``python -v``. Source: importlib's messages."""
    return re.findall(r"^# code object from (/\S+\.py)$", log, re.MULTILINE)


def read_compiled(log: str) -> list[str]:
    """The bytecode files that it read instead."""
    return re.findall(r"^# code object from '(/\S+\.pyc)'$", log, re.MULTILINE)
