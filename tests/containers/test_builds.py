"""What the images are made from; needs no container."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from scripts import requirements, sbom, wheels
from scripts.builders import BuilderError, Docker, choose
from scripts.images import DOCKERFILE, NAMES
from tests.support.paths import ROOT

PYPROJECT: dict[str, Any] = {
    "project": {
        "dependencies": ["flask>=3", "Tokenizers>=0.2"],
        "optional-dependencies": {"agent": ["torch==2"]},
    },
    "dependency-groups": {
        "lint": [{"include-group": "types"}, "ruff"],
        "types": ["mypy", {"include-group": "lint"}],
    },
}


def test_the_requirements_of_extras_and_groups() -> None:
    """Extras and groups are read alike, included groups are followed once, and an unknown name is an error."""
    assert requirements.requirements(PYPROJECT, ["agent"]) == ["flask>=3", "Tokenizers>=0.2", "torch==2"]
    assert requirements.requirements(PYPROJECT, ["lint"]) == ["flask>=3", "Tokenizers>=0.2", "ruff", "mypy"]
    assert requirements.split(["flask>=3", "Tokenizers>=0.2"]) == (["flask>=3"], ["Tokenizers>=0.2"])
    with pytest.raises(KeyError, match="gpu"):
        requirements.requirements(PYPROJECT, ["gpu"])


def test_the_images_requirements_are_the_projects(tmp_path: Path) -> None:
    """The Dockerfile's own calls: the function's requirements have no torch, the agent's have."""
    for extras, torch in (("grpc,otel", False), ("agent,onnx,otel", True)):
        subprocess.run([sys.executable, "scripts/requirements.py", extras, str(tmp_path)], cwd=ROOT, check=True)
        names = [requirements.package(line) for line in (tmp_path / "requirements.txt").read_text().splitlines()]
        assert {"flask", "grpcio"} <= set(names)
        assert ("torch" in names) is torch
        assert (tmp_path / "alone.txt").read_text().startswith("tokenizers")


def test_the_dockerfile_has_a_target_for_each_image() -> None:
    """One pinned base; every image runs without a shell and as a user without rights; the function is the default."""
    text = DOCKERFILE.read_text()
    (base,) = re.findall(r"^ARG BASE=(.+)$", text, re.MULTILINE)
    assert re.fullmatch(r"docker\.io/library/python:3\.11\.\d+-slim-bookworm", base)
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    images = [stage for stage in stages if "ENTRYPOINT" in stage]
    targets = [stage.splitlines()[0].removeprefix("runtime AS ") for stage in images]
    assert {f"vaccel-{target}" for target in targets} == set(NAMES)
    assert targets[-1] == "function"
    assert stages[-1] == images[-1]
    for stage in images:
        assert re.findall(r"^ENTRYPOINT (.)", stage, re.MULTILINE) == ["["]
        assert "\nUSER 65532:65532\n" in stage


def test_an_unknown_extra_is_named() -> None:
    """One line names the requested extra."""
    with pytest.raises(BuilderError, match=r"EXTRAS=gpu: .*'gpu'"):
        wheels.download("function", "gpu")


def test_nothing_to_build_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what to install; a docker without an engine is no builder."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BuilderError, match="apt-get install buildah"):
        choose()
    with pytest.raises(BuilderError, match="docker cannot be used"):
        choose(Docker.name)


def image_with(tmp_path: Path, metadata: str) -> Path:
    """A root file system with one Python package and two Debian packages, one of them removed."""
    info = tmp_path / "opt/venv/lib/python3.11/site-packages/some_thing-1.0.dist-info"
    dpkg = tmp_path / "var/lib/dpkg"
    info.mkdir(parents=True)
    dpkg.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: Some.Thing\nVersion: 1.0\n{metadata}")
    package = "Package: {}\nStatus: {}\nArchitecture: amd64\nVersion: 1.2-3+b1\nDescription: a thing\n with two lines\n\n"
    (dpkg / "status").write_text(
        package.format("libc6", "install ok installed") + package.format("gone", "deinstall ok not-installed")
    )
    return tmp_path


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ("License-Expression: Apache-2.0 AND BSD-2-Clause\n", "Apache-2.0 AND BSD-2-Clause"),
        ("License: MIT\n", "MIT"),
        ("License: The whole\n        text\nClassifier: License :: OSI Approved :: MIT License\n", "MIT License"),
        ("", None),
    ],
)
def test_a_bill_of_materials(tmp_path: Path, metadata: str, licence: str | None) -> None:
    """Both kinds of packages, valid by CycloneDX's own schema, with the licence that the package states."""
    out = tmp_path / "bill.json"
    assert sbom.write(image_with(tmp_path / "root", metadata), "dev.local/thing", "1", out) == 2
    text = out.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    components = {component["purl"]: component for component in json.loads(text)["components"]}
    assert set(components) == {"pkg:pypi/some-thing@1.0", "pkg:deb/debian/libc6@1.2-3%2Bb1?arch=amd64"}
    said = components["pkg:pypi/some-thing@1.0"].get("licenses", [{}])[0]
    assert (said.get("expression") or said.get("license", {}).get("id") or said.get("license", {}).get("name")) == licence


def test_a_wrong_bill_is_refused(tmp_path: Path) -> None:
    """The validator of the test above can say no."""
    out = tmp_path / "bill.json"
    sbom.write(image_with(tmp_path / "root", ""), "dev.local/thing", "1", out)
    bill = json.loads(out.read_text())
    bill["components"][0]["colour"] = "blue"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is not None
