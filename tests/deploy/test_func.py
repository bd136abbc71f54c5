"""How ``func`` deploys the project: its file, the scaffolding it writes around the root, and the legacy root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests
import yaml

from loadkit.processes import free_port
from tests.support.installing import empty_environment, install
from tests.support.objects import read
from tests.support.optional import shared
from tests.support.paths import ROOT
from tests.support.runtimes import parliament
from tests.support.servers import ServerProcess

SERVICE = read((ROOT / "knative/manifests/service.yaml").read_text())[0]["spec"]["template"]


@pytest.fixture(scope="module")
def func() -> dict[str, Any]:
    """func.yaml as JSON would have it."""
    content: dict[str, Any] = json.loads(
        json.dumps(yaml.safe_load((ROOT / "func.yaml").read_text()), default=lambda time: time.isoformat())
    )
    return content


def validator() -> jsonschema.Draft4Validator:
    return jsonschema.Draft4Validator(json.loads(shared("schemas/knative-func-func_yaml-schema.json").read_text()))


def test_func_yaml_is_what_func_reads(func: dict[str, Any]) -> None:
    """It fits the func project's own schema, and the Procfile starts our server."""
    assert list(validator().iter_errors(func)) == []
    assert (func["specVersion"], func["invoke"], func["build"]["builder"]) == ("0.36.0", "http", "pack")
    assert (ROOT / "Procfile").read_text() == "web: python -m function\n"


@pytest.mark.parametrize(
    "change",
    [
        {"invok": "http"},
        {"invoke": "grpc"},
        {"deploy": {"option": {}}},
        {"run": {"envs": [{"key": "x"}]}},
        {"build": {"builder": 1}},
    ],
)
def test_a_wrong_func_yaml_is_refused(func: dict[str, Any], change: dict[str, Any]) -> None:
    """The schema refuses a func.yaml with a wrong field."""
    assert list(validator().iter_errors(func | change)) != []


def test_func_yaml_says_what_the_service_says(func: dict[str, Any]) -> None:
    """`func deploy` and `kubectl apply` make the same function."""
    container, notes = SERVICE["spec"]["containers"][0], SERVICE["metadata"]["annotations"]
    options = func["deploy"]["options"]
    assert {each["name"]: each["value"] for each in func["run"]["envs"]}.items() <= {
        each["name"]: each["value"] for each in container["env"]
    }.items()
    prefix = "autoscaling.knative.dev/"
    scale = {name: str(options["scale"][key]) for name, key in _SCALE.items()}
    assert {name: notes[prefix + name] for name in _SCALE} == scale
    assert func["deploy"]["annotations"].items() <= notes.items()
    duplex = "features.knative.dev/http-full-duplex"
    assert func["deploy"]["annotations"][duplex] == notes[duplex]
    assert options["resources"]["requests"] == container["resources"]["requests"]
    limits = dict(options["resources"]["limits"])
    assert limits.pop("concurrency") == SERVICE["spec"]["containerConcurrency"]
    assert limits == container["resources"]["limits"]
    paths = func["deploy"]["healthEndpoints"]
    assert {name: container[f"{name}Probe"]["httpGet"]["path"] for name in paths} == paths
    assert {label["key"]: label["value"] for label in func["deploy"]["labels"]}.items() <= SERVICE["metadata"]["labels"].items()


def test_func_yaml_has_no_annotation_that_knative_refuses(func: dict[str, Any]) -> None:
    """func writes annotations on the Service too, where Knative's webhook refuses those of autoscaling: they are options."""
    assert [name for name in func["deploy"]["annotations"] if name.startswith("autoscaling.")] == []


_SCALE = {
    "min-scale": "min",
    "max-scale": "max",
    "metric": "metric",
    "target": "target",
    "target-utilization-percentage": "utilization",
}


@contextmanager
def serving(command: list[str], folder: Path, env: dict[str, str], port: int) -> Iterator[str]:
    """Its URL, once it answers."""
    with (folder / "log").open("wb") as log:
        server = ServerProcess(subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log), folder / "log")
    try:
        end = time.monotonic() + 30
        while True:
            try:
                if requests.get(f"http://127.0.0.1:{port}/health/readiness", timeout=5).ok:
                    break
            except requests.ConnectionError:
                pass
            assert server.process.poll() is None, server.text
            assert time.monotonic() < end, server.text
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        assert server.stop() == 0, server.text


#: What func writes beside a Python function when it builds it: a project that depends on the middleware and on the root in ``f``.
_PROJECT = """
[project]
name = "service"
version = "0.1.0"
dependencies = ["func-python", "function @ {root:uri}/f"]
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[tool.hatch.metadata]
allow-direct-references = true
"""
_SERVICE = """
from func_python.http import serve
try:
    from function import new as handler
except ImportError:
    from function import handle as handler
if __name__ == "__main__":
    serve(handler)
"""


def test_the_root_installs_as_func_does_it(agent: ServerProcess, tmp_path: Path) -> None:
    """Scaffolding around the root, in an empty environment: the function answers under the middleware, without an extra of ours."""
    scaffolding = tmp_path / "build"
    (scaffolding / "service").mkdir(parents=True)
    (scaffolding / "pyproject.toml").write_text(_PROJECT)
    (scaffolding / "service/__init__.py").touch()
    (scaffolding / "service/main.py").write_text(_SERVICE)
    (scaffolding / "f").symlink_to(ROOT)
    python = empty_environment(tmp_path / "venv")
    install(python, str(scaffolding), cwd=tmp_path)
    port = free_port()
    env = {"PATH": os.environ["PATH"], "VACCEL_RPC_ADDRESS": agent.addresses["unix"], "LISTEN_ADDRESS": f"127.0.0.1:{port}"}
    with serving([str(python), "-m", "service.main"], tmp_path, env, port) as url:
        answer = requests.post(f"{url}/classify", json={"text": "What a lovely day"}, timeout=20)
        assert answer.json()["model"]["name"] == "tweets"


def test_the_legacy_root_runs_under_parliament(agent: ServerProcess, wheel: Path, tmp_path: Path) -> None:
    """Its own folder is all it needs, with the wheel that `make parliament` puts there."""
    root = tmp_path / "root"
    shutil.copytree(ROOT / "knative/parliament", root, ignore=shutil.ignore_patterns("*.whl"))
    shutil.copy(wheel, root)
    python = empty_environment(tmp_path / "venv")
    install(python, "-r", "requirements.txt", cwd=root, without="cloudevents")
    assert (root / "Procfile").read_text() == "web: python -m parliament .\n"
    port = free_port()
    env = {"PATH": os.environ["PATH"], "VACCEL_RPC_ADDRESS": agent.addresses["unix"]}
    with serving([str(python), "-c", parliament(".", port)], root, env, port) as url:
        answer = requests.post(url, json={"text": "What a lovely day"}, timeout=20)
        assert answer.json()["model"]["name"] == "tweets"
