"""``make charts`` and ``make manifests``: checks and packages the Helm charts.

The charts' READMEs and the plain YAML in knative/manifests are generated. Helm itself comes as a
library, helm-python-sdk (dependency group ``charts``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import yaml

from vaccel_common.commandline import PathType, ToolGroup

ROOT = Path(__file__).parent.parent
CHARTS = ROOT / "knative/charts"
MANIFESTS = ROOT / "knative/manifests"
NAMES = ("vaccel-agent", "vaccel-client", "vaccel-function", "vaccel-loadtest")
#: The library chart with the templates that they share. Each chart has a link to it in its folder
#: "charts": Helm can install from a checkout, and puts the files behind the link into a package.
LIBRARY = "vaccel-common"

#: Objects of these kinds come first in a file, as in Helm's install order.
_FIRST = ("PriorityClass", "ServiceAccount", "NetworkPolicy", "ConfigMap", "Broker")
#: Labels that are true only of objects that Helm manages.
_HELMS_OWN = re.compile(r"^ +(app\.kubernetes\.io/managed-by|helm\.sh/chart): .*\n", re.MULTILINE)


#: A kubeconfig without a cluster. Without any, Helm would use the user's own for a dry run.
NO_CLUSTER = """
apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: none, context: {cluster: none, user: none}}]
users: [{name: none, user: {}}]
current-context: none
"""


@dataclass(frozen=True)
class Manifest:
    """A file of plain YAML: its chart, the values, and the templates to render (empty: all)."""

    chart: str
    values: dict[str, Any] = field(default_factory=dict)
    templates: tuple[str, ...] = ()

    def text(self) -> str:
        """The content of the file."""
        rendered = render(self.chart, self.values, name=self.chart)
        chosen = [text for name, text in rendered.items() if not self.templates or name in self.templates]
        objects = sorted((document for text in chosen for document in documents(text)), key=_rank)
        head = f"# Generated from knative/charts/{self.chart} by `make manifests`: change the chart instead.\n"
        return head + "---\n".join(_HELMS_OWN.sub("", document) for document in objects)


FILES = {
    "daemonset-agent.yaml": Manifest("vaccel-agent"),
    "client.yaml": Manifest("vaccel-client"),
    "sidecar.yaml": Manifest("vaccel-client", {"fullnameOverride": "vaccel-sidecar-pod", "sidecar": {"enabled": True}}),
    "service.yaml": Manifest("vaccel-function"),
    "service-sidecar.yaml": Manifest("vaccel-function", {"sidecar": {"enabled": True}}),
    "broker-trigger.yaml": Manifest("vaccel-function", {"eventing": {"enabled": True}}, ("eventing.yaml",)),
}


def render(chart: str, values: dict[str, Any], *, name: str, **release: Any) -> dict[str, str]:
    """The objects to install: template -> YAML, without tests and notes. Raises Helm's errors."""
    from helm_python import Chart

    with Chart.load(CHARTS / chart) as loaded:
        loaded.validate_schema(values)
        rendered = loaded.render(values, name=name, namespace="default", **release)
    named = {path.split("/templates/", 1)[1]: text for path, text in rendered.items()}
    return {path: text for path, text in sorted(named.items()) if path.endswith(".yaml") and not path.startswith("tests/")}


def documents(text: str) -> Iterator[str]:
    """The YAML documents in ``text``, unchanged."""
    for document in re.split(r"^---\n", text, flags=re.MULTILINE):
        if document.strip():
            yield document.strip("\n") + "\n"


def _rank(document: str) -> tuple[int, str]:
    match = re.search(r"^kind: (\w+)$", document, re.MULTILINE)
    kind = match[1] if match else ""
    return (_FIRST.index(kind), "") if kind in _FIRST else (len(_FIRST), "" if kind == "Service" else kind)


def cases(chart: str) -> dict[str, dict[str, Any]]:
    """The cases in the chart's ``ci`` folder and the defaults: name -> values."""
    examples = {
        path.stem.removesuffix("-values"): yaml.safe_load(path.read_text()) for path in (CHARTS / chart / "ci").glob("*.yaml")
    }
    return {"default": {}, **dict(sorted(examples.items()))}


def readme(chart: str) -> str:
    """The chart's README: its purpose, how to install it, and its values with their comments."""
    about = yaml.safe_load((CHARTS / chart / "Chart.yaml").read_text())
    rows = "\n".join(f"| `{path}` | {meaning} | {default} |" for path, meaning, default in values(chart))
    objects = ", ".join(sorted({kind for case in cases(chart).values() for kind in _kinds(chart, case)}))
    return (
        f"# {chart}\n\n{about['description']}. This page is generated from `values.yaml` by `make charts`.\n\n"
        f"```console\nhelm install {chart} knative/charts/{chart}\n```\n\n"
        f"Depending on its values, it creates: {objects}. `ci/` has examples of values.\n\n"
        f"| value | meaning | default |\n|---|---|---|\n{rows}\n"
    )


def values(chart: str) -> Iterator[tuple[str, str, str]]:
    """Every value of the chart with a ``# --`` comment: path, comment, default."""
    tree = yaml.safe_load((CHARTS / chart / "values.yaml").read_text())
    path: list[str] = []
    comment = ""
    for line in (CHARTS / chart / "values.yaml").read_text().splitlines():
        key = re.match(r"^( *)([\w./-]+):", line)
        if line.lstrip().startswith("# -- "):
            comment = line.lstrip().removeprefix("# -- ")
        elif key:
            path = [*path[: len(key[1]) // 2], key[2]]
            if comment:
                yield ".".join(path), comment.replace("|", "\\|"), _default(tree, path)
            comment = ""


def _default(tree: Any, path: list[str]) -> str:
    for part in path:
        tree = tree[part]
    text = yaml.safe_dump(tree, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
    return f"`{text}`"


def _kinds(chart: str, case: dict[str, Any]) -> Iterator[str]:
    for text in render(chart, case, name=chart).values():
        yield from re.findall(r"^kind: (\w+)$", text, re.MULTILINE)


def problems(chart: Path, case: dict[str, Any]) -> list[str]:
    """The findings of ``helm lint --strict``, warnings included."""
    from helm_python import lint

    report = lint(chart, case, strict=True)
    messages = [message["error"] for message in report["messages"] if message["severity"] > 1]
    return [*report["errors"], *messages]


@click.group(cls=ToolGroup, help=__doc__)
def main() -> None:
    """See the module."""


@main.command()
def manifests() -> None:
    """Generate knative/manifests from the charts."""
    MANIFESTS.mkdir(exist_ok=True)
    for name, manifest in FILES.items():
        (MANIFESTS / name).write_text(manifest.text())
        click.echo(f"knative/manifests/{name}")


@main.command()
@click.option("--destination", default="dist/charts", show_default=True, type=PathType())
def charts(destination: Path) -> None:
    """Lint the charts with every case of their values, generate their READMEs, package them."""
    from helm_python import package

    destination.mkdir(parents=True, exist_ok=True)
    for chart in NAMES:
        for name, case in cases(chart).items():
            if findings := problems(CHARTS / chart, case):
                raise click.ClickException(f"{chart} with {name}: {'; '.join(findings)}")
        (CHARTS / chart / "README.md").write_text(readme(chart))
        click.echo(package(str(CHARTS / chart), destination=destination))


if __name__ == "__main__":
    main()
