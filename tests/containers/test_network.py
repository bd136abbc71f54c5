"""Agent, client and function on a network with names, as the DaemonSet, its Service, the client Pod and a function are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.containers import guide
from tests.containers.bench import AGENT, FUNCTION, Bench, Container
from tests.containers.waiting import answers
from tests.support.paths import ROOT

pytestmark = pytest.mark.containers

MANIFESTS = ROOT / "knative/manifests"
NAME = "vaccel-agent"
ADDRESS = f"tcp://{NAME}:8888"
#: The names of the agent's Services, which one agent answers to here.
ALIASES = tuple(f"--network-alias={name}" for name in (NAME, f"{NAME}-local", f"{NAME}-headless"))


def pod_spec() -> dict[str, Any]:
    """The agent's pod in daemonset-agent.yaml."""
    objects = yaml.safe_load_all((MANIFESTS / "daemonset-agent.yaml").read_text())
    (manifest,) = (document for document in objects if document["kind"] == "DaemonSet")
    spec: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return spec


def daemonset() -> dict[str, Any]:
    """The agent's container in daemonset-agent.yaml."""
    container: dict[str, Any] = pod_spec()["containers"][0]
    return container


def start_agent(bench: Bench, network: str) -> Container:
    """An agent with the DaemonSet's image, command and arguments, under its Services' names."""
    container = daemonset()
    (entry,) = container["command"]
    options = (f"--network={network}", *ALIASES, f"--entrypoint={entry}")
    return bench.run(container["image"], *container["args"], options=options)


def classified(url: str) -> dict[str, Any]:
    answer = requests.post(f"{url}/classify", json={"text": "good morning"}, timeout=20)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def test_the_function_waits_for_the_name_and_outlives_the_agent(bench: Bench) -> None:
    """Before the agent's name exists the function is not ready and logs which name; then, without a restart, it is.

    The function reconnects to an agent that is killed and started again, and is ready meanwhile.
    """
    network = bench.network()
    env = {"VACCEL_RPC_ADDRESS": ADDRESS, "AGENT_WAIT_S": "1"}
    function = bench.run(FUNCTION, options=(f"--network={network}",), env=env)
    url = f"http://{function.ip}:8080"
    assert answers(f"{url}/health/liveness").json() == {"status": "alive"}
    reason = answers(f"{url}/health/readiness", 503).json()["detail"]
    assert re.search(r"resol|known", reason), reason
    function.wait_for(f"{ADDRESS}: no agent: ")
    assert requests.post(f"{url}/classify", json={"text": "good morning"}, timeout=30).status_code == 503
    agent = start_agent(bench, network)
    agent.wait_for("agent ready")
    answers(f"{url}/health/readiness")
    began = function.state["StartedAt"]
    assert classified(url)["label"] == "neither"
    agent.signal("KILL")
    assert agent.wait(10) == 137
    answers(f"{url}/v2/models/tweets/ready", 503)
    answers(f"{url}/health/readiness")
    bench.remove(agent)
    start_agent(bench, network).wait_for("agent ready")
    answers(f"{url}/v2/models/tweets/ready")
    assert classified(url)["label"] == "neither"
    assert function.state["StartedAt"] == began


def test_a_name_that_never_comes_is_no_agent(bench: Bench) -> None:
    """The test above means something: with an agent under another name the function stays as it was."""
    network = bench.network()
    start_agent(bench, network).wait_for("agent ready")
    function = bench.run(FUNCTION, options=(f"--network={network}",), env={"VACCEL_RPC_ADDRESS": "tcp://vaccel-agents:8888"})
    with pytest.raises(AssertionError, match="not known"):
        answers(f"http://{function.ip}:8080/health/readiness", seconds=4)
    assert "tcp://vaccel-agents:8888: no agent: " in function.log


def test_a_thousand_lines_over_the_network(bench: Bench, tweets: Path, tmp_path: Path) -> None:
    """client.yaml as it is, the folder of the tweets aside, on the agent of daemonset-agent.yaml; both logs have the guide's lines."""
    network = bench.network()
    agent = start_agent(bench, network)
    file = tmp_path / "client.yaml"
    file.write_text((MANIFESTS / "client.yaml").read_text().replace("path: /tmp/data\n", f"path: {tweets}\n"))
    bench.play(file, f"--network={network}")
    client = Container("vaccel-client-vaccel-client")
    assert client.wait(100) == 0, client.log
    assert re.findall(r"^Line (\d+): ", client.log, re.MULTILINE) == [str(number) for number in range(1, 1001)]
    assert guide.missing_lines(client.log, guide.promised(guide.CLIENT)) == []
    assert guide.missing_lines(agent.log, guide.promised(guide.AGENT, "unix")) == []


def test_the_guides_agent_serves_the_model_that_ships(bench: Bench) -> None:
    """The guide's own command and arguments, and nothing else, are enough."""
    network = bench.network()
    options = (f"--network={network}", f"--network-alias={NAME}", "--entrypoint=vaccel-rpc-agent")
    bench.run(AGENT, "-a", "tcp://0.0.0.0:8888", options=options).wait_for("agent ready")
    function = bench.run(FUNCTION, options=(f"--network={network}",), env={"VACCEL_RPC_ADDRESS": ADDRESS})
    url = f"http://{function.ip}:8080"
    answers(f"{url}/health/readiness")
    assert classified(url)["model"]["name"] == "tweets"
