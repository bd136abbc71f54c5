"""What the images are: small, without torch where none is needed, compiled, and content with no rights at all."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from scripts.images import SBOMS
from scripts.requirements import package as normalized
from tests.containers import policy
from tests.containers.bench import AGENT, FUNCTION, Bench, Container, inspect
from tests.containers.waiting import answers

pytestmark = pytest.mark.containers

BUDGET_MB = 120


@pytest.fixture(params=[FUNCTION, AGENT])
def image(built: None, request: pytest.FixtureRequest) -> str:  # noqa: ARG001
    name: str = request.param
    return name


def test_the_images_configuration(image: str) -> None:
    """Numeric user, PATH, no shell at the start, labels, the model in a layer of its own."""
    assert policy.image_problems(inspect("image", image)) == []


def test_entry_points_are_the_guides(built: None) -> None:  # noqa: ARG001
    """Entry point and address are the guide's, word for word."""
    assert inspect("image", AGENT)["Config"]["Entrypoint"] == ["vaccel-rpc-agent", "-a", "unix:///var/run/vaccel/vaccel.sock"]
    assert "VACCEL_RPC_ADDRESS=unix:///var/run/vaccel/vaccel.sock" in inspect("image", FUNCTION)["Config"]["Env"]


BREAKS: list[tuple[Callable[[Any], object], str]] = [
    (lambda image: image["Config"].update(User=""), "user ''"),
    (lambda image: image["Config"].update(User="root"), "user 'root'"),
    (lambda image: image["Config"].update(Entrypoint=["/bin/sh", "-c", "python -m function"]), "entry point"),
    (lambda image: image["Config"].update(Env=["PATH=/usr/bin"]), "no PATH"),
    (lambda image: image["Config"]["Labels"].pop("org.opencontainers.image.revision"), "label revision"),
    (lambda image: image["History"].clear(), "the model has no layer of its own"),
]


@pytest.mark.parametrize(("change", "problem"), BREAKS)
def test_a_broken_configuration_is_refused(built: None, change: Callable[[Any], object], problem: str) -> None:  # noqa: ARG001
    """Each rule sees its own breach, and no other rule does."""
    broken = copy.deepcopy(inspect("image", FUNCTION))
    change(broken)
    (message,) = policy.image_problems(broken)
    assert message.startswith(problem)


def test_the_functions_image_is_small(built: None) -> None:  # noqa: ARG001
    """Within its budget over the base, the model not counted; the agent's is not, so the figure means something."""
    assert 10 < policy.mb_over_base(inspect("image", FUNCTION)) <= BUDGET_MB
    assert policy.mb_over_base(inspect("image", AGENT), 50_000_000) > BUDGET_MB


def test_what_is_in_them(bench: Bench) -> None:
    """No torch, no weights and no pip in the function's image; the agent's has torch and the model, once."""
    look = (
        "import importlib.util as u, json, pathlib as p; print(json.dumps([[n for n in"
        " ('torch', 'numpy', 'pip', 'huggingface_hub', 'agent', 'function') if u.find_spec(n)],"
        " sorted(f.name for d in ('/models', '/opt/venv') for f in p.Path(d).rglob('*') if f.suffix in ('.pt', '.sha256', '.tokenizer'))]))"
    )
    idle = ("--entrypoint=python",)
    sleep = ("-c", "import signal; signal.signal(15, lambda *_: exit(0)); signal.pause()")
    assert json.loads(bench.run(FUNCTION, *sleep, options=idle).python(look)) == [["agent", "function"], ["tweets.tokenizer"]]
    assert json.loads(bench.run(AGENT, *sleep, options=idle).python(look)) == [
        ["torch", "numpy", "agent", "function"], ["tweets.pt", "tweets.pt.sha256"],
    ]  # fmt: skip


def test_the_bill_of_materials_is_the_images(bench: Bench) -> None:
    """The file that ``make images`` left names the Python packages that are in the image, no more and no fewer."""
    listed = {c["purl"] for c in json.loads((SBOMS / "vaccel-function.cdx.json").read_text())["components"]}
    look = "import importlib.metadata as m, json; print(json.dumps([[d.metadata['Name'], d.version] for d in m.distributions()]))"
    container = bench.run(FUNCTION, "-c", look, options=("--entrypoint=python",))
    assert container.wait(20) == 0
    installed = {f"pkg:pypi/{normalized(name)}@{version}" for name, version in json.loads(container.log)}
    assert {purl for purl in listed if purl.startswith("pkg:pypi/")} == installed
    assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in listed)


def running(bench: Bench, image: str, volume: str, **more: Any) -> Container:
    """A container of the image that has started: an agent on another socket, or a function."""
    options = (f"-v={volume}:/var/run/vaccel", *more.pop("options", ()))
    if image == AGENT:
        other = ("-a", "unix:///var/run/vaccel/other.sock")
        container = bench.run(image, *other, options=("--entrypoint=vaccel-rpc-agent", *options), **more)
    else:
        container = bench.run(image, options=options, **more)
    container.wait_for("Listening on")
    return container


def test_it_needs_no_rights(bench: Bench, socket_volume: str, image: str) -> None:
    """From inside: user 65532, a read-only root, no capability, and none can be gained."""
    assert policy.container_problems(running(bench, image, socket_volume)) == []


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        (("--user=0", "--cap-drop=all"), ["runs as 0:0", "a write to /etc gives written"]),
        (("--cap-drop=all",), ["a write to / gives EACCES", "may gain privileges"]),
        (("--read-only", "--user=0"), ["CapEff is 0"]),
        (("--read-only", "--cap-drop=all", "--security-opt=seccomp=unconfined"), ["no seccomp filter"]),
    ],
)
def test_rights_that_it_was_given_are_seen(
    bench: Bench, socket_volume: str, options: tuple[str, ...], problems: list[str]
) -> None:
    """The check from inside refuses a root user, a root that can be written, capabilities, no seccomp."""
    reported = policy.container_problems(running(bench, FUNCTION, socket_volume, options=options, restricted=False))
    for problem in problems:
        assert any(line.startswith(problem) for line in reported), reported


def test_nothing_is_compiled_at_the_start(bench: Bench, socket_volume: str, image: str) -> None:
    """Every module of the program, its packages and the standard library that it imports is there as bytecode."""
    volume = ("--entrypoint=python", f"-v={socket_volume}:/var/run/vaccel")
    network = bench.network()
    if image == AGENT:
        container = bench.run(image, "-v", "-m", "agent", "-a", "tcp://127.0.0.1:0", options=volume)
        container.wait_for("vAccel RPC agent ready", 110)
    else:
        container = bench.run(image, "-v", "-m", "function", options=(*volume, f"--network={network}"))
        url = f"http://{container.ip}:8080"
        answers(f"{url}/health/readiness")
        for path in ("/", "/metrics", "/openapi.json"):
            assert requests.get(url + path, timeout=10).ok
        assert requests.post(f"{url}/classify", json={"text": "good morning"}, timeout=10).json()["label"] == "neither"
    log = container.log
    assert policy.compiled_at_start(log) == []
    assert len(policy.read_compiled(log)) > 200


def test_what_is_compiled_at_the_start_is_seen(bench: Bench) -> None:
    """That check reports a module without bytecode."""
    code = "import pathlib, sys; pathlib.Path('/tmp/fresh.py').write_text('x = 1'); sys.path.insert(0, '/tmp'); import fresh"
    container = bench.run(FUNCTION, "-v", "-c", code, options=("--entrypoint=python", "--tmpfs=/tmp"))
    assert container.wait(20) == 0
    assert policy.compiled_at_start(container.log) == ["/tmp/fresh.py"]
