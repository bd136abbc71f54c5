"""The docs say what is so: their commands run, their links lead somewhere, their tables are the code's."""

from __future__ import annotations

import re
import subprocess

import jsonschema
import pytest
import yaml

from scripts.options import text
from tests.deploy.objects import closed
from tests.support.optional import shared
from tests.support.paths import ROOT
from tests.support.servers import ServerProcess

DOCS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "models").glob("*.md"), *(ROOT / "knative").rglob("*.md")]
)
CURLS = [
    (name, line)
    for name in ("http.md", "events.md")
    for block in re.findall(r"```console\n(.*?)```", (ROOT / "docs" / name).read_text(), re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize(("name", "line"), CURLS, ids=[f"{name} {i}" for i, (name, _) in enumerate(CURLS)])
def test_every_curl_line_is_answered(function: ServerProcess, name: str, line: str) -> None:
    """As it stands in the docs, but for the port."""
    assert "curl -sf" in line, f"{name}: {line}"
    command = line.replace("http://127.0.0.1:8080", function.addresses["http"])
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout!r}{done.stderr!r}"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: object) -> None:
    """Links to files of the project."""
    assert hasattr(path, "read_text")
    for link in re.findall(r"\]\(([^)#]+)", path.read_text()):
        assert "://" in link or (path.parent / link).exists(), link  # type: ignore[attr-defined] # a Path


def test_the_options_are_the_codes() -> None:
    """`make docs` has been run."""
    assert (ROOT / "docs/options.md").read_text() == text()


def test_the_events_example_fits_knatives_schemas() -> None:
    """Broker and Trigger, with unknown fields failing."""
    schemas = shared("schemas")
    example = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/events.md").read_text(), re.DOTALL)[0]
    for made in yaml.safe_load_all(example):
        versions = yaml.safe_load((schemas / f"knative-eventing-{made['kind'].lower()}.yaml").read_text())["spec"]["versions"]
        version = next(version for version in versions if made["apiVersion"].endswith(f"/{version['name']}"))
        schema = closed(version["schema"]["openAPIV3Schema"])
        made.pop("apiVersion"), made.pop("kind"), made.pop("metadata")
        jsonschema.Draft7Validator(schema).validate(made)
