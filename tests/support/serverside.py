"""Server-side apply as a played API server does it: who owns a field, what conflicts, what goes with its last owner.

Lists are atomic, as those of a Knative Service are.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from tests.support.clusterkinds import FakeResponse

Json = dict[str, Any]
Path = tuple[str, ...]

#: What identifies an object, and the server's own fields; nobody owns them.
_UNOWNED = (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"), ("metadata", "managedFields"))
_MISSING = object()


def applied(live: Json, body: Json, manager: str, *, force: bool) -> Json:
    """The object once ``manager`` has applied ``body``. Raises `FakeResponse` for a conflict."""
    result = copy.deepcopy(live)
    owners = _owners(result)
    wanted = dict(_leaves(body))
    conflicts: dict[str, list[Path]] = {}
    for other, paths in owners.items():
        if other != manager and (theirs := [path for path in paths & wanted.keys() if _get(live, path) != wanted[path]]):
            conflicts[other] = sorted(theirs)
    if conflicts and not force:
        raise FakeResponse(409, _complaint(conflicts, body["apiVersion"]))
    for other, theirs in conflicts.items():
        owners[other] -= set(theirs)
    for path in owners.pop(manager, set()) - wanted.keys():
        if not any(path in paths for paths in owners.values()):
            _remove(result, path)
    for path, value in wanted.items():
        _set(result, path, copy.deepcopy(value))
    owners[manager] = set(wanted)
    _defaults(result)
    result["metadata"]["managedFields"] = [
        _entry(name, paths, body["apiVersion"]) for name, paths in sorted(owners.items()) if paths
    ]
    return result


def _complaint(conflicts: dict[str, list[Path]], version: str) -> str:
    paths = [("." + ".".join(path), other) for other, paths in conflicts.items() for path in paths]
    if len(paths) == 1:
        return f'Apply failed with 1 conflict: conflict with "{paths[0][1]}" using {version}: {paths[0][0]}'
    lines = [f'conflicts with "{other}" using {version}:\n' + "\n".join("- ." + ".".join(path) for path in theirs)
             for other, theirs in conflicts.items()]  # fmt: skip
    return f"Apply failed with {len(paths)} conflicts: " + "\n".join(lines)


def _defaults(obj: Json) -> None:
    """What the server adds: Knative's webhook to containers, which are one field; to others a field of its own."""
    spec = obj.setdefault("spec", {})
    if "knative.dev" not in obj["apiVersion"]:
        spec.setdefault("defaulted", True)
        return
    for container in spec.get("template", {}).get("spec", {}).get("containers", []):
        container.setdefault("resources", {})
        container.get("readinessProbe", {}).setdefault("successThreshold", 1)


def _leaves(value: Json, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    for name, inner in value.items():
        path = (*at, name)
        if path in _UNOWNED:
            continue
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, path)
        else:
            yield path, inner


def _owners(obj: Json) -> dict[str, set[Path]]:
    """Manager -> the fields that its entry in ``managedFields`` has."""
    return {entry["manager"]: set(_paths(entry.get("fieldsV1", {}))) for entry in obj["metadata"].get("managedFields", [])}


def _paths(fields: Json, at: Path = ()) -> Iterator[Path]:
    for name, inner in fields.items():
        path = (*at, name.removeprefix("f:"))
        yield from _paths(inner, path) if inner else (path,)


def _entry(manager: str, paths: set[Path], version: str) -> Json:
    fields: Json = {}
    for path in sorted(paths):
        at = fields
        for name in path:
            at = at.setdefault(f"f:{name}", {})
    return {"manager": manager, "operation": "Apply", "apiVersion": version, "fieldsType": "FieldsV1", "fieldsV1": fields}


def _get(obj: Json, path: Path) -> Any:
    value: Any = obj
    for name in path:
        value = value.get(name, _MISSING) if isinstance(value, dict) else _MISSING
    return value


def _set(obj: Json, path: Path, value: Any) -> None:
    for name in path[:-1]:
        if not isinstance(obj.get(name), dict):
            obj[name] = {}
        obj = obj[name]
    obj[path[-1]] = value


def _remove(obj: Json, path: Path) -> None:
    parents = [obj]
    for name in path[:-1]:
        parents.append(parents[-1].get(name, {}))
    parents[-1].pop(path[-1], None)
    for parent, name in reversed(list(zip(parents, path[:-1], strict=False))):
        if parent.get(name) == {}:
            del parent[name]
