"""The Kustomize overlay, by kubectl's own kustomize."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.objects import policy_problems, read, schema_problems, uses_host_path
from tests.support.paths import ROOT

KUBECTL = Path(sys.executable).with_name("kubectl")


def kustomize(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(KUBECTL), "kustomize", str(folder)], capture_output=True, text=True, check=False, timeout=60)


def test_the_overlay_makes_what_is_sound() -> None:
    """Schemas, policy, one namespace that enforces the restricted profile, images of the registry alone."""
    done = kustomize(ROOT / "knative/gitops/production")
    assert done.returncode == 0, done.stderr
    objects = read(done.stdout)
    assert {manifest["kind"] for manifest in objects} >= {"Namespace", "DaemonSet", "Service", "NetworkPolicy"}
    for manifest in objects:
        assert schema_problems(manifest) == [], manifest["kind"]
        assert policy_problems(manifest) == [], manifest["kind"]
        assert not uses_host_path(manifest)
        assert manifest["metadata"].get("namespace", manifest["metadata"]["name"]) == "classification"
    assert "dev.local" not in done.stdout
    assert 'autoscaling.knative.dev/max-scale: "50"' in done.stdout


def test_an_overlay_that_misses_an_object_fails(tmp_path: Path) -> None:
    """The error names the object that is missing."""
    shutil.copytree(ROOT / "knative/gitops", tmp_path / "knative/gitops")
    shutil.copytree(ROOT / "knative/manifests", tmp_path / "knative/manifests")
    (tmp_path / "knative/manifests/service.yaml").unlink()
    done = kustomize(tmp_path / "knative/gitops/production")
    assert done.returncode != 0
    assert "service.yaml" in done.stderr
