"""The function's pod has no volume; that the function writes no file is tested in `tests.function.test_no_file`."""

from __future__ import annotations

import yaml

from tests.support.objects import Object, read
from tests.support.paths import ROOT


def revision(file: str) -> Object:
    """The pod of the Knative Service in a file of knative/manifests."""
    (service,) = read((ROOT / "knative/manifests" / file).read_text())
    spec: Object = service["spec"]["template"]["spec"]
    return spec


def test_a_cold_start_waits_for_no_mount() -> None:
    """Neither a volume nor a service account's token, which is a volume too.

    The kubelet looks for mounts every 300 ms before it starts a container. On Kubernetes 1.36 with
    Knative 1.23 that was 0.28 s of each cold start: 0.788 s with a /tmp, 0.509 s without.
    """
    spec = revision("service.yaml")
    assert "volumes" not in spec
    assert "volumeMounts" not in spec["containers"][0]
    assert spec["automountServiceAccountToken"] is False
    assert "volumes" not in yaml.safe_load((ROOT / "func.yaml").read_text())["run"]


def test_a_sidecar_brings_only_the_agents_volumes() -> None:
    """The function's container has the socket and nothing else; the agent needs a /tmp for uploads."""
    function, agent = revision("service-sidecar.yaml")["containers"]
    assert [mount["mountPath"] for mount in function["volumeMounts"]] == ["/var/run/vaccel"]
    assert [mount["mountPath"] for mount in agent["volumeMounts"]] == ["/var/run/vaccel", "/tmp"]
