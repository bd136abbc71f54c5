"""What the command line changes in the objects of the files. No network."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

from knative.apply.manifests import is_function
from knative.cluster.objects import Json, containers
from vaccel_rpc.addresses import AddressError, parse

_AGENT = "vaccel-agent"
_AGENTS = ("DaemonSet", "Deployment", "StatefulSet")
_SCALE = {"min_scale": "autoscaling.knative.dev/min-scale", "max_scale": "autoscaling.knative.dev/max-scale"}


class OverrideError(ValueError):
    """An override that cannot be used; the message names the option."""


@dataclass(frozen=True)
class Overrides:
    """``None``: as the files have it. ``address`` is where the function finds its agent; ``model`` a NAME or ``sha256:HEX``."""

    image: str | None = None
    agent_image: str | None = None
    address: str | None = None
    model: str | None = None
    min_scale: int | None = None
    max_scale: int | None = None


def check(overrides: Overrides) -> None:
    """Raises `OverrideError` for what can be wrong without a look at the objects."""
    for address in (overrides.address or "").split(",") if overrides.address is not None else ():
        try:
            parse(address)
        except AddressError as error:
            raise OverrideError(f"--address: {error}") from None
    if overrides.model is not None and not re.fullmatch(r"sha256:[0-9a-f]{64}|(?!sha256:)[\w.-]+", overrides.model):
        raise OverrideError(f"--model {overrides.model}: a NAME or sha256: and 64 hexadecimal digits are needed")
    if (overrides.max_scale or 0) and (overrides.min_scale or 0) > (overrides.max_scale or 0):
        raise OverrideError(f"--min-scale {overrides.min_scale} is more than --max-scale {overrides.max_scale}")


def changed(objects: Iterable[Json], overrides: Overrides) -> list[Json]:
    """Copies of the objects with the overrides. Raises `OverrideError` for one that fits none of them."""
    made = copy.deepcopy(list(objects))
    functions = [one for one in made if is_function(one)]
    agents = [one for one in made if one["kind"] in _AGENTS or (is_function(one) and _sidecar(one["spec"]["template"]["spec"]))]
    for field in fields(overrides):
        value = getattr(overrides, field.name)
        if value is None:
            continue
        targets = agents if field.name == "agent_image" else functions
        if not targets:
            what = "agent" if targets is agents else "function"
            raise OverrideError(f"--{field.name.replace('_', '-')}: no {what} is deployed by this command")
        for target in targets:
            _CHANGES[field.name](target["spec"]["template"], value)
    return made


def _image(template: Json, value: str) -> None:
    served(template["spec"])["image"] = value


def _agent_image(template: Json, value: str) -> None:
    (_sidecar(template["spec"]) or served(template["spec"]))["image"] = value


def _address(template: Json, value: str) -> None:
    _environment(served(template["spec"]), "VACCEL_RPC_ADDRESS", value)


def _model(template: Json, value: str) -> None:
    _environment(served(template["spec"]), "MODEL", value)


def _scale(name: str) -> Callable[[Json, Any], None]:
    def change(template: Json, value: int) -> None:
        template.setdefault("metadata", {}).setdefault("annotations", {})[_SCALE[name]] = str(value)

    return change


def served(pod_spec: Json) -> Json:
    """The container that serves: the one with ports, else the first."""
    found = containers(pod_spec)
    return next((one for one in found if one.get("ports")), found[0])


def _sidecar(pod_spec: Json) -> Json | None:
    return next((one for one in containers(pod_spec) if one.get("name") == _AGENT), None)


def _environment(container: Json, name: str, value: str) -> None:
    others = [one for one in container.get("env") or [] if one.get("name") != name]
    container["env"] = [*others, {"name": name, "value": value}]


_CHANGES: dict[str, Callable[[Json, Any], None]] = {
    "image": _image,
    "agent_image": _agent_image,
    "address": _address,
    "model": _model,
    "min_scale": _scale("min_scale"),
    "max_scale": _scale("max_scale"),
}
