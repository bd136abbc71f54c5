"""The project's version, in every file that has to name it: ``make version VERSION=1.2.3``.

`vaccel_rpc.__version__` is the source: the wheel, the metrics and the images' tags read it. Charts,
manifests and docs cannot read it; this module writes it there, and a test holds them to it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from vaccel_common.commandline import ToolCommand
from vaccel_rpc import __version__

ROOT = Path(__file__).parent.parent
_FILES = (
    "vaccel_rpc/__init__.py",
    "README.md",
    "docs/*.md",
    "docker/Dockerfile",
    "knative/charts/*/Chart.yaml",
    "knative/gitops/*/*.yaml",
    "knative/manifests/*.yaml",
    "knative/parliament/requirements.txt",
)
_NUMBER = r"(\d+\.\d+\.\d+)"
#: What stands before and after the number in these files.
_PLACES = re.compile(
    "|".join(
        before + _NUMBER + after
        for before, after in (
            ('^__version__ = "', '"$'),
            ("^ARG VERSION=", "$"),
            ("^ *(?:version|appVersion|newTag): ", "$"),
            ('app\\.kubernetes\\.io/version: "?', '"?$'),
            (r"\bvaccel-[a-z]+[:-]", r"(?:\.tgz|\b)"),
            (r"\bfunction-", r"-py3-none-any\.whl"),
            (r"oci://\S+ --version ", r"\b"),
        )
    ),
    re.MULTILINE,
)


def places() -> Iterator[tuple[Path, int, str]]:
    """Each place that names the version: file, line number, and the version named there."""
    for path in _paths():
        text = path.read_text()
        for match in _PLACES.finditer(text):
            yield path, text.count("\n", 0, match.start()) + 1, _number(match)


def write(version: str) -> list[Path]:
    """Writes ``version`` into every such place; the files that changed."""
    changed = []
    for path in _paths():
        before = path.read_text()
        after = _PLACES.sub(lambda match: match[0].replace(_number(match), version), before)
        if after != before:
            path.write_text(after)
            changed.append(path)
    return changed


def _paths() -> list[Path]:
    return sorted(path for pattern in _FILES for path in ROOT.glob(pattern))


def _number(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group)


@click.command(cls=ToolCommand, help=__doc__)
@click.argument("version", required=False)
def main(version: str | None) -> None:
    """Writes VERSION everywhere; without it, prints the current version."""
    if version is None:
        click.echo(__version__)
    elif not re.fullmatch(_NUMBER, version):
        sys.exit(f"make version: {version!r} is not of the form 1.2.3")
    else:
        for path in write(version):
            click.echo(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
