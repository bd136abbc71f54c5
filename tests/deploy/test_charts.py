"""The charts, by Helm itself: lint, every case of values, wrong values, what an upgrade does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from loadkit.processes import free_port
from scripts import charts
from tests.support.objects import Object, policy_problems, read, schema_problems
from tests.support.servers import ServerProcess
from vaccel_rpc import __version__
from vaccel_rpc.pool.targets import MAX_TARGETS

helm = pytest.importorskip("helm_python", reason="needs the dependency group 'charts': make charts")
pytestmark = pytest.mark.helm

CASES = [(chart, name, values) for chart in charts.NAMES for name, values in charts.cases(chart).items()]
IDS = [f"{chart}-{name}" for chart, name, _ in CASES]


def rendered(chart: str, values: dict[str, Any], **release: Any) -> list[Object]:
    return [manifest for text in charts.render(chart, values, name=chart, **release).values() for manifest in read(text)]


@pytest.mark.parametrize(("chart", "_", "values"), CASES, ids=IDS)
def test_every_case_is_sound(chart: str, _: str, values: dict[str, Any]) -> None:
    """Lint finds nothing, every object fits its schema and the project's policy; the tests' pods too."""
    assert charts.problems(charts.CHARTS / chart, values) == []
    with helm.Chart.load(charts.CHARTS / chart) as loaded:
        texts = [text for path, text in loaded.render(values, name=chart).items() if path.endswith(".yaml")]
    objects = [manifest for text in texts for manifest in read(text)]
    assert {problem for manifest in objects for problem in schema_problems(manifest)} == set()
    assert {problem for manifest in objects for problem in policy_problems(manifest)} == set()


def test_the_program_of_helm_test_is_in_its_pod() -> None:
    """It asks for less time than Helm waits, so that its reason is seen."""
    with helm.Chart.load(charts.CHARTS / "vaccel-function") as loaded:
        texts = loaded.render({}, name="vaccel-function")
    (pod,) = (manifest for path, text in texts.items() if "/tests/" in path for manifest in read(text))
    program, url, seconds = pod["spec"]["containers"][0]["args"]
    assert program == (charts.CHARTS / "vaccel-function/files/classify.py").read_text()
    assert url == "http://vaccel-function.default.svc"
    assert float(seconds) < 300


def test_helm_test_asks_the_first_agent_that_can_be_reached(agent: ServerProcess) -> None:
    """A preferred address may lead to no agent, as that of a node without one."""
    nowhere = f"tcp://127.0.0.1:{free_port()}"
    for address, code in ((f"{nowhere};prefer,{agent.addresses['unix']}", 0), (nowhere, 1)):
        with helm.Chart.load(charts.CHARTS / "vaccel-client") as loaded:
            texts = loaded.render({"rpcAddress": address}, name="vaccel-client")
        (pod,) = (manifest for path, text in texts.items() if "/tests/" in path for manifest in read(text))
        command = sys.executable, "-c", *pod["spec"]["containers"][0]["args"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout.startswith("session ")) == (code, not code), done.stderr


@pytest.mark.parametrize("name", charts.FILES)
def test_the_plain_yaml_is_the_charts(name: str) -> None:
    """The committed manifests are what the charts render: `make manifests` has been run."""
    assert (charts.MANIFESTS / name).read_text() == charts.FILES[name].text()


@pytest.mark.parametrize("chart", charts.NAMES)
def test_the_readme_is_the_values(chart: str) -> None:
    """`make charts` has been run, and each value has its comment."""
    assert (charts.CHARTS / chart / "README.md").read_text() == charts.readme(chart)
    tree = yaml.safe_load((charts.CHARTS / chart / "values.yaml").read_text())
    documented = {path for path, _, _ in charts.values(chart)}
    assert {
        path for path in leaves(tree, "") if not any(path == prefix or path.startswith(f"{prefix}.") for prefix in documented)
    } == set()


def leaves(tree: Any, path: str) -> set[str]:
    if isinstance(tree, dict) and tree:
        return set().union(*(leaves(value, f"{path}.{name}" if path else name) for name, value in tree.items()))
    return {path}


@pytest.mark.parametrize("chart", charts.NAMES)
def test_no_value_escapes_the_schema(chart: str) -> None:
    """A name that is not known is refused at every level."""

    def open_objects(schema: Any, path: str) -> list[str]:
        if not isinstance(schema, dict) or schema.get("type") != "object" or "properties" not in schema:
            return []
        inner = [name for key, value in schema["properties"].items() for name in open_objects(value, f"{path}.{key}")]
        return inner if schema.get("additionalProperties") is False else [path, *inner]

    schema = json.loads((charts.CHARTS / chart / "values.schema.json").read_text())
    tree = yaml.safe_load((charts.CHARTS / chart / "values.yaml").read_text())
    assert set(schema["properties"]) - {"global", charts.LIBRARY} == set(tree)
    # An item of a list of environment variables may have what Kubernetes allows.
    assert open_objects(schema, "") == []


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("vaccel-agent", {"kind": "StatefulSet"}, "/kind"),
    ("vaccel-agent", {"imgae": {}}, "imgae"),
    ("vaccel-agent", {"image": {"repo": "x"}}, "/image"),
    ("vaccel-agent", {"image": {"tag": "latest"}}, "/image/tag"),
    ("vaccel-agent", {"image": {"digest": "sha256:1"}}, "/image/digest"),
    ("vaccel-agent", {"service": {"port": "8888"}}, "/service/port"),
    ("vaccel-agent", {"service": {"port": 65536}}, "/service/port"),
    ("vaccel-agent", {"service": {"trafficDistribution": "Local"}}, "/service/trafficDistribution"),
    ("vaccel-agent", {"agent": {"uploads": "yes"}}, "/agent/uploads"),
    ("vaccel-agent", {"models": {"aliases": {"tweets": "tweets.pt"}}}, "/models/aliases/tweets"),
    ("vaccel-agent", {"agent": {"preload": "tweets"}}, "/agent/preload"),
    ("vaccel-agent", {"resources": {"requests": {"cpu": "one"}}}, "/resources/requests/cpu"),
    ("vaccel-agent", {"resources": {"request": {}}}, "/resources"),
    ("vaccel-agent", {"gpu": {"count": 0}}, "/gpu/count"),
    ("vaccel-agent", {"tolerations": {}}, "/tolerations"),
    ("vaccel-agent", {"resourceClaims": [{"name": "gpu"}]}, "/resourceClaims/0"),
    ("vaccel-agent", {"resourceClaims": [{"name": "gpu", "deviceClassName": "a", "templateName": "b"}]}, "/resourceClaims/0"),
    ("vaccel-agent", {"resourceClaims": [{"name": "gpu", "templateName": "b", "count": 2}]}, "/resourceClaims/0"),
    (
        "vaccel-agent",
        {"resourceClaims": [{"name": "gpu", "firstAvailable": [{"name": "a"}]}]},
        "/resourceClaims/0/firstAvailable",
    ),
    (
        "vaccel-agent",
        {"resourceClaims": [{"name": "gpu", "deviceClassName": "a", "selectors": "b"}]},
        "/resourceClaims/0/selectors",
    ),
    ("vaccel-agent", {"autoscaling": {"minReplicas": -1}}, "/autoscaling/minReplicas"),
    ("vaccel-agent", {"safeToEvict": "false"}, "/safeToEvict"),
    ("vaccel-agent", {"networkPolicy": {"monitoringCidrs": ["10.0.0.1"]}}, "/networkPolicy/monitoringCidrs/0"),
    ("vaccel-agent", {"kubeVersion": "new"}, "/kubeVersion"),
    ("vaccel-client", {"rpcAddress": "vaccel-agent:8888"}, "/rpcAddress"),
    ("vaccel-function", {"rpcAddress": "tcp://vaccel-agent:8888,"}, "/rpcAddress"),
    ("vaccel-function", {"rpcAddress": ",".join(f"tcp://a{i}:8888" for i in range(MAX_TARGETS + 1))}, "/rpcAddress"),
    ("vaccel-client", {"kind": "CronJob"}, "/kind"),
    ("vaccel-client", {"tweets": {"source": "s3"}}, "/tweets/source"),
    ("vaccel-client", {"waitSeconds": -1}, "/waitSeconds"),
    ("vaccel-function", {"scale": {"min": "0"}}, "/scale/min"),
    ("vaccel-function", {"scale": {"downDelay": "1"}}, "/scale/downDelay"),
    ("vaccel-function", {"timeoutSeconds": 601}, "/timeoutSeconds"),
    ("vaccel-function", {"model": {"name": "sha256:abc"}}, "/model/name"),
    ("vaccel-function", {"traffic": [{"revision": "x"}]}, "/traffic/0"),
    ("vaccel-function", {"sidecar": True}, "/sidecar"),
    ("vaccel-function", {"metrics": {"port": 9090}}, "/metrics/port"),
    ("vaccel-function", {"metrics": {"monitor": "ServiceMonitor"}}, "/metrics/monitor"),
    ("vaccel-loadtest", {"shape": "waves"}, "/shape"),
    ("vaccel-loadtest", {"userClasses": ["Nobody"]}, "/userClasses/0"),
    ("vaccel-loadtest", {"limits": {"maxFailRatio": 2}}, "/limits/maxFailRatio"),
    ("vaccel-loadtest", {"rpcAddress": "grpc://agent:8889"}, "/rpcAddress"),
]


@pytest.mark.parametrize(("chart", "values", "says"), WRONG, ids=[f"{chart}{says}" for chart, _, says in WRONG])
def test_a_wrong_value_is_refused_by_its_path(chart: str, values: dict[str, Any], says: str) -> None:
    """By lint, and by an install before anything is sent to a cluster."""
    with pytest.raises(helm.HelmError, match=re.escape(says)):
        charts.render(chart, values, name=chart)
    with helm.Config(kubeconfig_content=charts.NO_CLUSTER) as config, pytest.raises(helm.HelmError, match=re.escape(says)):
        config.install(charts.CHARTS / chart, chart, values, namespace="default", dry_run="client")


CANNOT: list[tuple[str, dict[str, Any], str]] = [
    ("vaccel-agent", {"autoscaling": {"type": "hpa"}}, "a DaemonSet has one agent on each node"),
    ("vaccel-agent", {"terminationGracePeriodSeconds": 10}, "at least preStopSeconds + agent.graceSeconds"),
    ("vaccel-agent", {"models": {"source": "pvc"}}, "models.pvc"),
    ("vaccel-agent", {"models": {"source": "copy"}}, "models.copy.image"),
    ("vaccel-agent", {"metrics": {"monitor": "ServiceMonitor"}, "service": {"headless": False}}, "service.headless"),
    ("vaccel-agent", {"safeToEvict": False}, "safeToEvict: Cluster Autoscaler ignores it"),
    ("vaccel-agent", {"topologySpreadConstraints": [{"maxSkew": 1}]}, "topologySpreadConstraints: a DaemonSet"),
    ("vaccel-agent", {"kind": "Deployment", "autoscaling": {"type": "hpa", "minReplicas": 0}}, "autoscaling.minReplicas: an HPA"),
    (
        "vaccel-agent",
        {"kind": "Deployment", "autoscaling": {"type": "keda", "minReplicas": 5}},
        "at most autoscaling.maxReplicas",
    ),
    ("vaccel-agent", {"gpu": {"enabled": True}, "resourceClaims": [{"name": "gpu", "deviceClassName": "a"}]}, "gpu.enabled: "),
    ("vaccel-client", {"tweets": {"source": "pvc"}}, "tweets.pvc"),
    ("vaccel-function", {"scale": {"min": 5, "max": 2}}, "at most scale.max"),
    ("vaccel-function", {"responseStartTimeoutSeconds": 400}, "at most timeoutSeconds"),
    ("vaccel-function", {"model": {"source": "configMap"}}, "model.configMap"),
    (
        "vaccel-function",
        {"kubeVersion": "1.34", "model": {"source": "imageVolume", "imageVolume": "r.example/t:1"}},
        "model.source: imageVolume needs Kubernetes 1.35",
    ),
]


@pytest.mark.parametrize(("chart", "values", "says"), CANNOT)
def test_what_cannot_be_together_is_refused(chart: str, values: dict[str, Any], says: str) -> None:
    """A combination of values that cannot work is refused by a sentence that names the value."""
    with pytest.raises(helm.HelmError, match=re.escape(says)):
        charts.render(chart, values, name=chart)


@pytest.mark.parametrize("chart", charts.NAMES)
def test_a_package_contains_the_library_chart(chart: str, tmp_path: Path) -> None:
    """It renders where there is nothing but the package; its versions are the project's."""
    archive = helm.package(str(charts.CHARTS / chart), destination=tmp_path)
    with tarfile.open(archive) as files:
        names = files.getnames()
        assert f"{chart}/charts/{charts.LIBRARY}/templates/_common.tpl" in names
        assert not [member for member in files.getmembers() if member.issym()]
    with helm.Chart.load(archive) as packaged, helm.Chart.load(charts.CHARTS / chart) as own:
        assert packaged.render({}, name=chart) == own.render({}, name=chart)
    (dependency,) = helm.dependency_list(str(charts.CHARTS / chart))
    assert (dependency["name"], dependency["version"], dependency["status"]) == (charts.LIBRARY, __version__, "unpacked")


def test_lint_finds_a_broken_chart(tmp_path: Any) -> None:
    """A check that cannot fail is no check."""
    with helm.Chart.load(charts.CHARTS / "vaccel-agent") as chart:
        folder = chart.save_dir(tmp_path)
    (tmp_path / "vaccel-agent/templates/services.yaml").write_text("{{ .Values.nothing.here }}")
    assert charts.problems(tmp_path / "vaccel-agent", {}) != [], folder


def test_an_upgrade_replaces_what_cannot_be_changed() -> None:
    """A Pod's address cannot be changed: the second revision is another Pod, a Deployment stays the same."""
    first = rendered("vaccel-client", {"rpcAddress": "tcp://vaccel-agent:8888"}, revision=1, is_install=True)
    second = rendered("vaccel-client", {"rpcAddress": "tcp://vaccel-agent-gpu:8888"}, revision=2, is_upgrade=True)
    assert [manifest["metadata"]["name"] for manifest in first] == ["vaccel-client"]
    assert [manifest["metadata"]["name"] for manifest in second] == ["vaccel-client-2"]
    assert second[0]["spec"]["containers"][0]["env"][0]["value"] == "tcp://vaccel-agent-gpu:8888"
    deployment = rendered("vaccel-client", {"kind": "Deployment"}, revision=2, is_upgrade=True)
    assert deployment[0]["metadata"]["name"] == "vaccel-client"


def test_a_gpu_is_never_asked_for_twice() -> None:
    """A surge on a node whose GPU is taken would wait for ever; a CPU's next agent is warm before the last one ends."""
    for gpu, rolling in ((True, {"maxSurge": 0, "maxUnavailable": 1}), (False, {"maxSurge": 1, "maxUnavailable": 0})):
        (agent,) = [
            manifest for manifest in rendered("vaccel-agent", {"gpu": {"enabled": gpu}}) if manifest["kind"] == "DaemonSet"
        ]
        assert agent["spec"]["updateStrategy"]["rollingUpdate"] == rolling
        limits = agent["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert limits.get("nvidia.com/gpu") == ("1" if gpu else None)


def test_a_budget_only_where_it_means_something() -> None:
    """Draining a node leaves a DaemonSet's pods alone, and one agent cannot be away by a budget."""

    def kinds(values: dict[str, Any]) -> set[str]:
        return {manifest["kind"] for manifest in rendered("vaccel-agent", values)}

    assert "PodDisruptionBudget" not in kinds({}) | kinds({"kind": "Deployment"})
    assert "PodDisruptionBudget" in kinds({"kind": "Deployment", "replicas": 2})


def test_an_install_says_what_to_do_next() -> None:
    """NOTES.txt of each chart, through a dry run as a user would see it."""
    for chart, says in (("vaccel-agent", "rollout status"), ("vaccel-client", "logs --follow"), ("vaccel-function", "curl")):
        with helm.Config(kubeconfig_content=charts.NO_CLUSTER) as config:
            release = config.install(charts.CHARTS / chart, chart, {}, namespace="default", dry_run="client")
        assert says in release["notes"]


def test_an_install_says_what_a_daemonset_does_not_do() -> None:
    """It neither brings a node up nor keeps it; a Deployment from 0 on says that the first request waits."""
    for values, says in (
        ({}, "A DaemonSet neither brings a node up nor keeps it"),
        (
            {"kind": "Deployment", "autoscaling": {"type": "keda", "minReplicas": 0}},
            "There is no agent while no request comes for 900 s",
        ),
    ):
        with helm.Config(kubeconfig_content=charts.NO_CLUSTER) as config:
            release = config.install(charts.CHARTS / "vaccel-agent", "agents", values, namespace="default", dry_run="client")
        assert says in release["notes"]


def test_a_functions_metrics_are_scraped_where_no_ingress_leads() -> None:
    """The monitor finds the pod by the one port that Knative names, and asks the port of METRICS_PORT, over IPv6 too."""
    objects = rendered("vaccel-function", {"metrics": {"monitor": "PodMonitor", "port": 9500}})
    service, monitor = (next(each for each in objects if each["kind"] == kind) for kind in ("Service", "PodMonitor"))
    template = service["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert {"name": "METRICS_PORT", "value": "9500"} in container["env"]
    assert [port["containerPort"] for port in container["ports"]] == [8080]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == "user-port"
    for address, expected in (("10.0.0.7", "10.0.0.7:9500"), ("fd00::7", "[fd00::7]:9500")):
        # Prometheus anchors the expression, and leaves the label as it is where it does not match.
        targets = [
            re.sub(rule["regex"], rule["replacement"].replace("$1", r"\1"), address)
            for rule in endpoint["relabelings"]
            if re.fullmatch(rule["regex"], address)
        ]
        assert targets == [expected]
