"""The checks as JUnit's XML, which pipelines show as a test report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from knative.cluster.errors import KnativeError, one_line
from knative.verify.check import Check

_SUITE = "knative verify"


def write(path: Path, checks: Sequence[Check], error: str = "") -> None:
    """Writes one test case for each check; ``error``: why the command has failed, which without a
    failed check is a case of its own.

    Raises `KnativeError` where the file cannot be written.
    """
    failed = sum(check.result == "failed" for check in checks)
    errors = int(bool(error) and not failed)
    skipped = sum(check.result == "skipped" for check in checks)
    counts = {"tests": len(checks) + errors, "failures": failed, "errors": errors, "skipped": skipped}
    suite = ElementTree.Element("testsuite", {"name": _SUITE, **{name: str(count) for name, count in counts.items()}})
    for check in checks:
        _case(suite, check)
    if errors:
        case = ElementTree.SubElement(suite, "testcase", {"classname": _SUITE, "name": "verify"})
        ElementTree.SubElement(case, "error", {"message": error})
    root = ElementTree.Element("testsuites")
    root.append(suite)
    try:
        path.write_bytes(ElementTree.tostring(root, "utf-8", xml_declaration=True))
    except OSError as failure:
        raise KnativeError(f"--junit {path}: {failure.strerror}") from None


def _case(suite: ElementTree.Element, check: Check) -> None:
    seconds = {"time": str(check.figures["seconds"])} if isinstance(check.figures.get("seconds"), float) else {}
    case = ElementTree.SubElement(suite, "testcase", {"classname": _SUITE, "name": check.name, **seconds})
    if check.result in ("failed", "skipped"):
        ElementTree.SubElement(
            case, {"failed": "failure", "skipped": "skipped"}[check.result], {"message": one_line(check.detail)}
        )
    else:
        ElementTree.SubElement(case, "system-out").text = one_line(check.detail)
