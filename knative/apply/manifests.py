"""The objects that are deployed: read from YAML files, and put into a namespace. No network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from knative.cluster.errors import KnativeError
from knative.cluster.objects import KNATIVE_SERVICE, Json, kind_of, title

_FOLDER = Path(__file__).parent.parent / "manifests"
#: What can be deployed by name -> its file.
PARTS = {"agent": _FOLDER / "daemonset-agent.yaml", "function": _FOLDER / "service.yaml"}
#: These come first, whatever file they are in.
_FIRST = ("Namespace", "PriorityClass", "ServiceAccount", "ConfigMap", "Secret")


class ManifestError(KnativeError):
    """A file that cannot be read, or holds something that is no Kubernetes object."""


def files(part: str, given: Sequence[Path] = ()) -> list[Path]:
    """The files of ``agent``, ``function`` or ``all``; or those that were given instead."""
    return list(given) or [path for name, path in PARTS.items() if part in (name, "all")]


def load(paths: Iterable[Path]) -> list[Json]:
    """The objects of the files, in the order in which to apply them. Raises `ManifestError`."""
    found = [made for path in paths for document in _documents(path) for made in _objects(path, document)]
    return sorted(found, key=lambda made: _FIRST.index(made["kind"]) if made["kind"] in _FIRST else len(_FIRST))


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
        return [made for item in document.get("items") or [] for made in _objects(path, item)]
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(metadata, dict) or not all((document.get("apiVersion"), document.get("kind"), metadata.get("name"))):
        raise ManifestError(f"{path} holds something that is no Kubernetes object: apiVersion, kind and metadata.name are needed")
    return [document]


def misplaced(objects: Iterable[Json], namespace: str) -> str | None:
    """The first object that says that it belongs to another namespace; None where all fit."""
    for made in objects:
        own = made["metadata"].get("namespace", namespace)
        if own != namespace:
            return f"{title(made)} belongs to namespace {own}, not to {namespace}"
    return None


def is_function(made: Json) -> bool:
    """Whether it is a Knative Service."""
    return kind_of(made) == KNATIVE_SERVICE
