"""The guide's Helm commands against a real OCI registry: package, push, pull, show, install and upgrade (dry: there is no cluster)."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from loadkit.processes import free_port
from scripts import charts, modelimage
from tests.support.objects import read
from tests.support.optional import needs_program
from tests.support.servers import ServerProcess
from vaccel_rpc import __version__

helm = pytest.importorskip("helm_python", reason="needs the dependency group 'charts': make charts")
pytestmark = [pytest.mark.e2e, needs_program("docker-registry", "docker-registry")]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``host:port`` of a registry with nothing in it, over plain HTTP."""
    folder = tmp_path_factory.mktemp("registry")
    address = f"127.0.0.1:{free_port()}"
    config: dict[str, Any] = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
        "log": {"level": "warn"},
    }
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    with (folder / "log").open("wb") as log:
        server = ServerProcess(
            subprocess.Popen(["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log), folder / "log"
        )
    try:
        wait_until_there(server, address)
        yield address
    finally:
        server.process.terminate()
        server.process.wait(20)


def wait_until_there(server: ServerProcess, address: str) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            requests.get(f"http://{address}/v2/", timeout=5).raise_for_status()
            return
        except requests.RequestException:
            assert server.process.poll() is None, server.text
            assert time.monotonic() < end, server.text
            time.sleep(0.05)


@pytest.fixture(scope="module")
def pushed(registry: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """``oci://...`` of the charts, each packaged and pushed."""
    folder = tmp_path_factory.mktemp("packages")
    remote = f"oci://{registry}/helm-charts"
    for chart in charts.NAMES:
        archive = helm.package(str(charts.CHARTS / chart), destination=folder)
        assert Path(archive).name == f"{chart}-{__version__}.tgz"
        helm.push(archive, remote, plain_http=True)
    return remote


@pytest.mark.parametrize("chart", charts.NAMES)
def test_what_was_pushed_comes_back(pushed: str, tmp_path: Path, chart: str) -> None:
    """The chart in the registry renders as the one in the checkout does."""
    helm.pull(f"{pushed}/{chart}", version=__version__, destination=tmp_path, plain_http=True)
    with helm.Chart.load(tmp_path / f"{chart}-{__version__}.tgz") as pulled, helm.Chart.load(charts.CHARTS / chart) as own:
        assert pulled.render({}, name=chart) == own.render({}, name=chart)
    shown = helm.show(f"{pushed}/{chart}", plain_http=True)
    assert f"name: {chart}" in shown
    with helm.RegistryClient(plain_http=True) as client:
        assert client.tags(f"{pushed}/{chart}") == [__version__]


def test_the_guides_install(pushed: str) -> None:
    """From the registry, with --set rpcAddress=...: the Pod that would be created has that address."""
    values = helm.parse_set_string("rpcAddress=tcp://vaccel-agent-gpu:8888")
    with helm.Config(kubeconfig_content=charts.NO_CLUSTER) as config:
        release = config.install(
            f"{pushed}/vaccel-client", "vaccel-client", values, namespace="default", dry_run="client", chart_version=__version__,
            plain_http=True,
        )  # fmt: skip
    (pod,) = [manifest for manifest in read(release["manifest"]) if manifest["kind"] == "Pod"]
    assert pod["spec"]["containers"][0]["env"][0]["value"] == "tcp://vaccel-agent-gpu:8888"


def test_an_upgrade_asks_the_cluster(pushed: str) -> None:
    """What is installed is known there alone; without one it is an error and no hang."""
    with helm.Config(kubeconfig_content=charts.NO_CLUSTER) as config, pytest.raises(helm.HelmError):
        config.upgrade(f"{pushed}/vaccel-client", "vaccel-client", {}, namespace="default", dry_run="client", plain_http=True)


def test_what_is_not_there_is_an_error(pushed: str, registry: str, tmp_path: Path) -> None:
    """A version, a chart, a registry, and a file that is no chart."""
    for reference, version in (
        (f"{pushed}/vaccel-agent", "9.9.9"),
        (f"{pushed}/nothing", __version__),
        ("oci://127.0.0.1:1/x/y", __version__),
    ):
        with pytest.raises(helm.HelmError):
            helm.pull(reference, version=version, destination=tmp_path, plain_http=True)
    (tmp_path / f"wrong-{__version__}.tgz").write_bytes(b"not a chart")
    with pytest.raises(helm.HelmError):
        helm.push(tmp_path / f"wrong-{__version__}.tgz", f"oci://{registry}/helm-charts", plain_http=True)


@needs_program("skopeo", "skopeo")
def test_models_go_through_a_registry_as_an_image(registry: str, tmp_path: Path) -> None:
    """skopeo pushes what `scripts.modelimage` wrote, for both architectures; the registry has it under the digest that was printed."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store/tea.pt").write_bytes(b"weights")
    digest = modelimage.write_image(modelimage.models_in(tmp_path / "store"), f"{registry}/models/tea:1", tmp_path / "tea.tar")
    (tmp_path / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    command = [
        "skopeo",
        "--policy",
        str(tmp_path / "policy.json"),
        "copy",
        "--all",
        "--preserve-digests",
        "--dest-tls-verify=false",
    ]
    command += [f"oci-archive:{tmp_path}/tea.tar", f"docker://{registry}/models/tea:1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    kind = {"Accept": "application/vnd.oci.image.index.v1+json"}
    index = requests.get(f"http://{registry}/v2/models/tea/manifests/1", headers=kind, timeout=5)
    assert index.headers["Docker-Content-Digest"] == digest
    assert [each["platform"]["architecture"] for each in index.json()["manifests"]] == ["amd64", "arm64"]
