"""Bills of materials, read from images' files. Sources: CycloneDX 1.6 (JSON), package-url."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from scripts.requirements import package as normalized

_SITE_PACKAGES = "opt/venv/lib/python3*/site-packages"


def write(root: Path, image: str, version: str, out: Path) -> int:
    """Writes the bill of materials of the image at ``root``; returns its number of packages."""
    bom = Bom()
    bom.metadata.component = Component(name=image, version=version, type=ComponentType.CONTAINER, bom_ref=image)
    python = dict(_python(next(root.glob(_SITE_PACKAGES))))
    components = [component for component, _ in python.values()]
    debian = list(_debian(root / "var/lib/dpkg"))
    bom.components.update(components, debian)
    for component, requirements in python.values():
        bom.register_dependency(component, [python[name][0] for name in requirements if name in python])
    bom.register_dependency(bom.metadata.component, [*components, *debian])
    out.parent.mkdir(parents=True, exist_ok=True)
    outputter = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    outputter.output_to_file(str(out), allow_overwrite=True, indent=1)
    return len(components) + len(debian)


def _python(folder: Path) -> Iterator[tuple[str, tuple[Component, list[str]]]]:
    licenses = LicenseFactory()
    for distribution in importlib.metadata.distributions(path=[str(folder)]):
        meta = distribution.metadata
        name = normalized(meta["Name"])
        licence = _license(meta)
        component = Component(
            name=meta["Name"],
            version=distribution.version,
            licenses=[licenses.make_from_string(licence)] if licence else [],
            purl=PackageURL("pypi", None, name, distribution.version),
            bom_ref=f"pypi:{name}",
        )
        yield name, (component, [normalized(line) for line in distribution.requires or []])


def _license(meta: importlib.metadata.PackageMetadata) -> str | None:
    for field in ("License-Expression", "License"):
        # Some packages put the whole text of the licence there.
        if field in meta and "\n" not in meta[field]:
            return meta[field]
    licences = [line for line in meta.get_all("Classifier") or [] if line.startswith("License :: ")]
    return licences[0].rpartition(" :: ")[2] if licences else None


def _debian(dpkg: Path) -> Iterator[Component]:
    """The base's packages, from dpkg's database; a distroless base has a file for each package."""
    texts = [file.read_text() for file in (dpkg / "status", *sorted(dpkg.glob("status.d/*"))) if file.is_file()]
    for paragraph in "\n\n".join(texts).split("\n\n"):
        fields = Parser().parsestr(paragraph.strip())
        if fields["Package"] and "not-installed" not in (fields["Status"] or ""):
            name, version, arch = fields["Package"], fields["Version"], fields["Architecture"]
            purl = PackageURL("deb", "debian", name, version, {"arch": arch})
            yield Component(name=name, version=version, purl=purl, bom_ref=f"deb:{name}:{arch}")
