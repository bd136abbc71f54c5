"""The plain YAML of ``knative/manifests`` and the project's other objects, as an API server and a security officer would see them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.support.objects import Object, policy_problems, read, schema_problems, uses_host_path
from tests.support.paths import ROOT
from vaccel_rpc.pool.targets import parse_targets

MANIFESTS = sorted(path for path in (ROOT / "knative/manifests").glob("*.yaml") if path.name != "kustomization.yaml")
ALL = [(path.name, manifest) for path in MANIFESTS for manifest in read(path.read_text())]
IDS = [f"{name}-{manifest['kind']}" for name, manifest in ALL]


def named(file: str, kind: str) -> Object:
    """The first object of that kind in that file."""
    return copy.deepcopy(next(manifest for name, manifest in ALL if name == file and manifest["kind"] == kind))


def test_the_guides_files_are_there() -> None:
    """The guide's three files exist, and Knative's."""
    assert {path.name for path in MANIFESTS} >= {
        "sidecar.yaml", "daemonset-agent.yaml", "client.yaml", "service.yaml", "service-sidecar.yaml", "broker-trigger.yaml",
    }  # fmt: skip


@pytest.mark.parametrize(("_", "manifest"), ALL, ids=IDS)
def test_every_object_fits_its_schema(_: str, manifest: Object) -> None:
    """Kubernetes 1.36's own, strictly, and the custom resources' with unknown fields failing."""
    assert schema_problems(manifest) == []


@pytest.mark.parametrize(("_", "manifest"), ALL, ids=IDS)
def test_every_object_is_hardened(_: str, manifest: Object) -> None:
    """Labels, security contexts, resources, probes, fixed images."""
    assert policy_problems(manifest) == []


def test_only_the_guides_clients_mount_a_folder_of_the_node() -> None:
    """That is what the restricted Pod Security profile refuses; the charts offer a ConfigMap and a volume instead."""
    assert {name for name, manifest in ALL if uses_host_path(manifest)} == {"client.yaml", "sidecar.yaml"}


def test_what_the_guide_names_is_named_so() -> None:
    """Names, ports and addresses are those of the guide's YAML blocks."""
    daemonset, service = named("daemonset-agent.yaml", "DaemonSet"), named("daemonset-agent.yaml", "Service")
    agent = daemonset["spec"]["template"]["spec"]["containers"][0]
    assert (daemonset["metadata"]["name"], agent["name"]) == ("vaccel-agent", "vaccel-agent")
    assert (agent["command"], agent["args"][:2]) == (["vaccel-rpc-agent"], ["-a", "tcp://0.0.0.0:8888"])
    assert {"containerPort": 8888, "name": "rpc", "protocol": "TCP"} in agent["ports"]
    assert service["metadata"]["name"] == "vaccel-agent"
    assert service["spec"]["ports"][0]["port"] == 8888
    assert service["spec"]["sessionAffinity"] == "None"
    client = named("client.yaml", "Pod")
    assert client["spec"]["containers"][0]["env"][0]["name"] == "VACCEL_RPC_ADDRESS"
    assert client["spec"]["volumes"] == [{"name": "tweets", "hostPath": {"path": "/tmp/data"}}]
    sidecar = named("sidecar.yaml", "Pod")
    assert sidecar["metadata"]["name"] == "vaccel-sidecar-pod"
    for container, name in zip(sidecar["spec"]["containers"], ("vaccel-agent", "vaccel-client"), strict=True):
        assert container["name"] == name
        assert {"name": "vaccel-sock", "mountPath": "/var/run/vaccel"} in container["volumeMounts"]
    assert {"name": "vaccel-sock", "emptyDir": {}} in sidecar["spec"]["volumes"]


def test_traffic_is_never_tied_to_the_own_node() -> None:
    """The own node's agent first, another one while that is away."""
    tied = {manifest["metadata"]["name"] for _, manifest in ALL if "internalTrafficPolicy" in manifest.get("spec", {})}
    assert tied == {"vaccel-agent-local"}
    assert named("daemonset-agent.yaml", "Service")["spec"]["trafficDistribution"] == "PreferSameNode"


@pytest.mark.parametrize(("file", "kind"), [("service.yaml", "Service"), ("client.yaml", "Pod")])
def test_clients_reach_every_agent_and_the_own_nodes_first(file: str, kind: str) -> None:
    """Each name of their address is a Service: one of the own node, which is preferred, and one with a record of each agent that is
    ready, on the port that it has.
    """
    agents = [manifest for name, manifest in ALL if name == "daemonset-agent.yaml"]
    services = {manifest["metadata"]["name"]: manifest["spec"] for manifest in agents if manifest["kind"] == "Service"}
    (address,) = (each["value"] for each in container(named(file, kind))["env"] if each["name"] == "VACCEL_RPC_ADDRESS")
    local, every = parse_targets(address)
    assert (local.preferred, every.preferred) == (True, False)
    assert services[local.address.host]["internalTrafficPolicy"] == "Local"
    assert services[every.address.host]["clusterIP"] == "None"
    assert "publishNotReadyAddresses" not in services[every.address.host]
    for target in (local, every):
        assert target.address.port in {port["port"] for port in services[target.address.host]["ports"]}


def test_no_run_is_cut_off() -> None:
    """The pod's grace holds the wait before SIGTERM and the agent's own grace."""
    spec = named("daemonset-agent.yaml", "DaemonSet")["spec"]["template"]["spec"]
    agent = spec["containers"][0]
    grace = float(agent["args"][agent["args"].index("--grace-s") + 1])
    assert spec["terminationGracePeriodSeconds"] > agent["lifecycle"]["preStop"]["sleep"]["seconds"] + grace


def test_the_function_scales_to_zero_and_starts_without_waiting() -> None:
    """No pod stays, and Knative asks for readiness as often as it can: only without a period."""
    template = named("service.yaml", "Service")["spec"]["template"]
    assert template["metadata"]["annotations"]["autoscaling.knative.dev/min-scale"] == "0"
    assert "periodSeconds" not in template["spec"]["containers"][0]["readinessProbe"]


def container(manifest: Object) -> Object:
    spec = manifest["spec"]["template"]["spec"] if "template" in manifest["spec"] else manifest["spec"]
    first: Object = spec["containers"][0]
    return first


def without(*path: str) -> Callable[[Object], None]:
    def change(manifest: Object) -> None:
        part = container(manifest)
        for name in path[:-1]:
            part = part[name]
        del part[path[-1]]

    return change


def setting(value: Any, *path: str) -> Callable[[Object], None]:
    def change(manifest: Object) -> None:
        part = container(manifest)
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] = value

    return change


BROKEN_SCHEMA: list[tuple[str, str, Callable[[Object], None], str]] = [
    ("daemonset-agent.yaml", "DaemonSet", setting(1, "imagePolicy"), "imagePolicy"),
    ("daemonset-agent.yaml", "DaemonSet", setting("8888", "ports"), "ports"),
    ("daemonset-agent.yaml", "Service", lambda manifest: manifest["spec"].update(trafic="x"), "trafic"),
    ("client.yaml", "Pod", setting([{"name": 1}], "env"), "name"),
    (
        "service.yaml",
        "Service",
        lambda manifest: manifest["spec"]["template"]["spec"].update(containerConcurency=1),
        "containerConcurency",
    ),
    (
        "service.yaml",
        "Service",
        lambda manifest: manifest["spec"]["template"]["spec"].update(timeoutSeconds="1"),
        "timeoutSeconds",
    ),
    ("service.yaml", "Service", setting(True, "securityContext", "procMount"), "procMount"),
    ("broker-trigger.yaml", "Trigger", lambda manifest: manifest["spec"].update(brokers="x"), "brokers"),
]


@pytest.mark.parametrize(("file", "kind", "change", "says"), BROKEN_SCHEMA)
def test_a_wrong_object_is_refused(file: str, kind: str, change: Callable[[Object], None], says: str) -> None:
    """Unknown fields and wrong types, in core objects and in custom ones."""
    manifest = named(file, kind)
    change(manifest)
    assert says in " ".join(schema_problems(manifest))


BROKEN_POLICY: list[tuple[Callable[[Object], None], str]] = [
    (without("securityContext", "readOnlyRootFilesystem"), "readOnlyRootFilesystem"),
    (setting(True, "securityContext", "allowPrivilegeEscalation"), "allowPrivilegeEscalation"),
    (setting(0, "securityContext", "runAsUser"), "root"),
    (setting(False, "securityContext", "runAsNonRoot"), "runAsNonRoot"),
    (setting({"drop": ["ALL"], "add": ["NET_ADMIN"]}, "securityContext", "capabilities"), "privileges"),
    (setting(True, "securityContext", "privileged"), "privileges"),
    (without("securityContext", "seccompProfile"), "seccompProfile"),
    (without("resources", "limits", "memory"), "limit of memory"),
    (without("resources", "requests", "cpu"), "requests of cpu"),
    (setting("dev.local/vaccel-agent", "image"), "not fixed"),
    (setting("dev.local/vaccel-agent:latest", "image"), "not fixed"),
    (setting("registry.example.org:5000/vaccel-agent", "image"), "not fixed"),
    (without("livenessProbe"), "livenessProbe"),
    (lambda manifest: manifest["metadata"]["labels"].pop("app.kubernetes.io/name"), "app.kubernetes.io/name"),
    (lambda manifest: manifest["spec"]["template"]["metadata"]["labels"].pop("app.kubernetes.io/version"), "pod labels"),
    (lambda manifest: manifest["spec"]["template"]["spec"].update(hostNetwork=True), "hostNetwork"),
    (lambda manifest: manifest["spec"]["template"]["spec"].pop("automountServiceAccountToken"), "automountServiceAccountToken"),
]


@pytest.mark.parametrize("kind", ["DaemonSet", "Service"])
@pytest.mark.parametrize(("change", "says"), BROKEN_POLICY)
def test_a_soft_object_is_refused(kind: str, change: Callable[[Object], None], says: str) -> None:
    """Each rule refuses what it is for, in an agent and in a Knative Service."""
    manifest = named("daemonset-agent.yaml" if kind == "DaemonSet" else "service.yaml", kind)
    change(manifest)
    assert says in " ".join(policy_problems(manifest))


_DUPLEX = "features.knative.dev/http-full-duplex"
LOSSY: list[tuple[Callable[[Object], None], str]] = [
    (lambda manifest: manifest["spec"]["template"]["metadata"]["annotations"].pop(_DUPLEX), _DUPLEX),
    (lambda manifest: manifest["spec"]["template"]["metadata"]["annotations"].update({_DUPLEX: "enabled"}), _DUPLEX),
    (
        lambda manifest: manifest["metadata"].update(annotations=manifest["spec"]["template"]["metadata"].pop("annotations")),
        _DUPLEX,
    ),
    (setting([{"name": "h2c", "containerPort": 8080}], "ports"), "not named http1"),
    (setting([{"containerPort": 8080}], "ports"), "not named http1"),
]


@pytest.mark.parametrize("file", ["service.yaml", "service-sidecar.yaml"])
@pytest.mark.parametrize(("change", "says"), LOSSY)
def test_a_knative_service_that_would_lose_lines_is_refused(file: str, change: Callable[[Object], None], says: str) -> None:
    """The revision's annotation enables full duplex, as the activator spells it, and over HTTP/1.1."""
    manifest = named(file, "Service")
    assert policy_problems(manifest) == []
    change(manifest)
    assert says in " ".join(policy_problems(manifest))


def test_the_charts_share_one_library() -> None:
    """Each chart depends on the library chart beside it, and has it in its folder by a link: no `helm dependency build` is needed."""
    library = ROOT / "knative/charts/vaccel-common"
    for chart in sorted((ROOT / "knative/charts").iterdir()):
        about = yaml.safe_load((chart / "Chart.yaml").read_text())
        if chart != library:
            (dependency,) = about["dependencies"]
            assert (dependency["name"], dependency["repository"]) == (library.name, "file://../vaccel-common")
            assert (chart / "charts/vaccel-common").resolve() == library
            assert list(chart.glob("templates/_common.tpl")) == []
