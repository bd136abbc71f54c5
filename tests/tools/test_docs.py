"""The docs say what is so: their commands run, their links lead somewhere, their tables are the code's."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from scripts.options import text
from tests.support.objects import closed
from tests.support.optional import shared
from tests.support.paths import ROOT
from tests.support.servers import ServerProcess

DOCS = sorted(
    path for folder in (ROOT, *(ROOT / name for name in ("docs", "docs/decisions", "models"))) for path in folder.glob("*.md")
) + sorted((ROOT / "knative").rglob("*.md"))
#: Made by a program, from text that stands elsewhere: docs/options.md and the charts' READMEs.
WRITTEN = [path for path in DOCS if path.name != "options.md" and "charts" not in path.parts]
#: The first folder of every path that the docs name.
FOLDERS = sorted(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "build", "dist")))
#: Paths that a command of the docs writes.
GENERATED = (
    "models/build",
    "models/tweets.int8.pt",
    "models/tweets.bf16.pt",
    "models/mine.pt",
    "models/mine.onnx",
    "models/mine.int8.onnx",
)
CURLS = [
    (name, line)
    for name in ("http.md", "events.md")
    for block in re.findall(r"```console\n(.*?)```", (ROOT / "docs" / name).read_text(), re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize(("name", "line"), CURLS, ids=[f"{name} {i}" for i, (name, _) in enumerate(CURLS)])
def test_every_curl_line_is_answered(function: ServerProcess, name: str, line: str) -> None:
    """Each line works as the docs have it, but for the port."""
    assert "curl -sf" in line, f"{name}: {line}"
    command = line.replace("http://127.0.0.1:8080", function.addresses["http"])
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout!r}{done.stderr!r}"


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _anchors(page: Path) -> set[str]:
    """The fragments of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _prose(page: Path) -> list[str]:
    """The lines of its paragraphs and lists: no code, table, heading or generated figure."""
    text = re.sub(r"^(```.*?^```|<!-- bench: .*?<!-- end -->)$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return [line for line in text.splitlines() if not line.startswith(("|", "#", "!["))]


@pytest.mark.parametrize("path", DOCS, ids=_name)
def test_links_lead_somewhere(path: Path) -> None:
    """A relative link names a file of the project, and its fragment a heading there."""
    for link in re.findall(r"\]\(([^)]+)", path.read_text()):
        name, _, fragment = link.partition("#")
        if "://" in link:
            continue
        target = path.parent / name if name else path
        assert target.exists(), link
        assert not fragment or fragment in _anchors(target), link


@pytest.mark.parametrize("path", WRITTEN, ids=_name)
def test_named_files_are_there(path: Path) -> None:
    """A path that a page names as code, such as `agent/config.py`, is a file or a folder of the project."""
    for name in re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*\w)/?`", path.read_text()):
        assert (ROOT / name).exists() or name in GENERATED or "NAME" in name, name


@pytest.mark.parametrize("path", WRITTEN, ids=_name)
def test_prose_is_wrapped(path: Path) -> None:
    """At 100 columns; a line of one unbreakable word may be longer."""
    assert not [line for line in _prose(path) if len(line) > 100 and " " in line.strip()]


@pytest.mark.parametrize("path", WRITTEN, ids=_name)
def test_commands_need_no_path_to_the_environment(path: Path) -> None:
    """The README says once how to activate it, and no other page repeats that."""
    mentions = re.findall(r".*\.venv/bin/.*", path.read_text())
    assert mentions == (["source .venv/bin/activate"] if path == ROOT / "README.md" else [])


@pytest.mark.parametrize("name", ["README.md", "docs/bring-your-own-model.md", "docs/classifier.md", "docs/model-stores.md"])
def test_commands_can_be_followed_in_one_terminal(name: str) -> None:
    """What serves goes to the background if a command follows it, and a file of texts is made before it is read."""
    made: set[str] = set()
    for block in re.findall(r"```console\n(.*?)```", (ROOT / name).read_text(), re.DOTALL):
        lines = block.strip().split("\n")
        serving = [line for line in lines[:-1] if re.search(r"(vaccel-rpc-agent -a .*[^&]|python -m function)$", line)]
        assert not serving
        for line in lines:
            assert made.issuperset(re.findall(r"-f (\S+\.txt)", line)), line
            made.update(re.findall(r"> (\S+\.txt)$", line))


def test_the_options_are_the_codes() -> None:
    """docs/options.md is what the code declares: `make docs` has been run."""
    assert (ROOT / "docs/options.md").read_text() == text()


def test_the_events_example_fits_knatives_schemas() -> None:
    """Broker and Trigger fit Knative's schemas, where unknown fields fail."""
    schemas = shared("schemas")
    example = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/events.md").read_text(), re.DOTALL)[0]
    for manifest in yaml.safe_load_all(example):
        versions = yaml.safe_load((schemas / f"knative-eventing-{manifest['kind'].lower()}.yaml").read_text())["spec"]["versions"]
        version = next(version for version in versions if manifest["apiVersion"].endswith(f"/{version['name']}"))
        schema = closed(version["schema"]["openAPIV3Schema"])
        manifest.pop("apiVersion"), manifest.pop("kind"), manifest.pop("metadata")
        jsonschema.Draft7Validator(schema).validate(manifest)
