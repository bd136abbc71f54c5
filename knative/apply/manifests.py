"""The objects to deploy, read from YAML files. No network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from knative.cluster.errors import KnativeError
from knative.cluster.objects import Json, title

_FOLDER = Path(__file__).parent.parent / "manifests"
#: What can be deployed by name -> its file.
PARTS = {"agent": _FOLDER / "daemonset-agent.yaml", "function": _FOLDER / "service.yaml"}
#: The hello-world that `verify` compares cold starts with.
BASELINE = _FOLDER / "hello.yaml"
#: Kinds that are applied first, whatever their file.
_FIRST = ("Namespace", "PriorityClass", "ServiceAccount", "ConfigMap", "Secret")


class ManifestError(KnativeError):
    """A file that cannot be read, or that contains something other than Kubernetes objects."""


def files(part: str, instead: Sequence[Path] = ()) -> list[Path]:
    """The files of ``agent``, ``function`` or ``all``; or those that are to be used instead."""
    return list(instead) or [path for name, path in PARTS.items() if part in (name, "all")]


def load(paths: Iterable[Path]) -> list[Json]:
    """The objects of the files, in the order in which to apply them. Raises `ManifestError`."""
    objects = [obj for path in paths for document in _documents(path) for obj in _objects(path, document)]
    return sorted(objects, key=lambda obj: _FIRST.index(obj["kind"]) if obj["kind"] in _FIRST else len(_FIRST))


def _documents(path: Path) -> list[Any]:
    try:
        return [document for document in yaml.safe_load_all(path.read_text()) if document is not None]
    except OSError as error:
        advice = "; make manifests renders it" if path in PARTS.values() else ""
        raise ManifestError(f"{path}: {error.strerror}{advice}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} is not YAML: {error}") from None


def _objects(path: Path, document: Any) -> list[Json]:
    if isinstance(document, dict) and document.get("kind") == "List":
        return [obj for item in document.get("items") or [] for obj in _objects(path, item)]
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(metadata, dict) or not all((document.get("apiVersion"), document.get("kind"), metadata.get("name"))):
        raise ManifestError(
            f"{path} contains something that is not a Kubernetes object: apiVersion, kind and metadata.name are needed"
        )
    return [document]


def misplaced(objects: Iterable[Json], namespace: str) -> str | None:
    """Which object names another namespace, in words; None where none does."""
    for obj in objects:
        own = obj["metadata"].get("namespace", namespace)
        if own != namespace:
            return f"{title(obj)} belongs to namespace {own}, not to {namespace}"
    return None
