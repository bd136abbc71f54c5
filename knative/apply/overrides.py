"""What the command line changes in the objects of the files. No network."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

from knative.cluster.objects import Json, containers, is_function
from vaccel_common.kinds import Parsed, Text
from vaccel_common.number_kinds import Integer
from vaccel_common.options import ConfigError, option
from vaccel_rpc.addresses import parse_agent

_AGENT = "vaccel-agent"
_AGENT_KINDS = ("DaemonSet", "Deployment", "StatefulSet")
_SCALE = {"min_scale": "autoscaling.knative.dev/min-scale", "max_scale": "autoscaling.knative.dev/max-scale"}


def _address(text: str) -> str:
    parse_agent(text)
    return text


def _model(text: str) -> str:
    if not re.fullmatch(r"sha256:[0-9a-f]{64}|(?!sha256:)[\w.-]+", text):
        raise ValueError("a NAME, or sha256: and 64 hexadecimal digits are needed")
    return text


@dataclass(frozen=True)
class Overrides:
    """The options of ``deploy`` that change its files' objects; None leaves what the files say."""

    image: str | None = option(
        Text("IMAGE"), help="The function's image.", choose="A digest or an immutable tag.", shown="as in the files"
    )
    agent_image: str | None = option(
        Text("IMAGE"), help="The agent's image.", choose="A digest or an immutable tag.", shown="as in the files"
    )
    address: str | None = option(
        Parsed(_address, "ADDR", "an agent's address"),
        help="The address of the function's agent (VACCEL_RPC_ADDRESS).",
        choose="unix:// for a sidecar, tcp:// for a Service of agents.",
        shown="as in the files",
    )
    model: str | None = option(
        Parsed(_model, "sha256:HEX|NAME", "a name or a sha256"),
        help="The function's model, from the agent's store (MODEL).",
        choose="The sha256 names one file and no other.",
        shown="as in the files",
    )
    min_scale: int | None = option(
        Integer(0),
        help="Pods of the function that are always kept.",
        choose="0 scales to zero; 1 avoids cold starts.",
        shown="as in the files",
    )
    max_scale: int | None = option(
        Integer(0),
        help="The largest number of the function's pods; 0 sets no limit.",
        choose="As many as the agents can keep busy.",
        shown="as in the files",
    )

    def __post_init__(self) -> None:
        """Raises `ConfigError` for a combination that no cluster takes."""
        if self.max_scale and (self.min_scale or 0) > self.max_scale:
            raise ConfigError(f"--min-scale {self.min_scale} is more than --max-scale {self.max_scale}")


def changed(objects: Iterable[Json], overrides: Overrides) -> list[Json]:
    """Copies of the objects with the overrides.

    Raises `ConfigError` for an override that fits none of them.
    """
    copies = copy.deepcopy(list(objects))
    functions = [obj for obj in copies if is_function(obj)]
    agents = [obj for obj in copies if _has_agent(obj)]
    for field in fields(overrides):
        value = getattr(overrides, field.name)
        if value is None:
            continue
        targets = agents if field.name == "agent_image" else functions
        if not targets:
            what = "agent" if targets is agents else "function"
            raise ConfigError(f"--{field.name.replace('_', '-')}: this command deploys no {what}")
        for target in targets:
            _CHANGES[field.name](target["spec"]["template"], value)
    return copies


def _has_agent(obj: Json) -> bool:
    """Whether it is an agent, or a function with one as a sidecar."""
    return obj["kind"] in _AGENT_KINDS or (is_function(obj) and _sidecar(obj["spec"]["template"]["spec"]) is not None)


def _image(template: Json, value: str) -> None:
    serving_container(template["spec"])["image"] = value


def _agent_image(template: Json, value: str) -> None:
    (_sidecar(template["spec"]) or serving_container(template["spec"]))["image"] = value


def _set_variable(name: str) -> Callable[[Json, Any], None]:
    def change(template: Json, value: str) -> None:
        container = serving_container(template["spec"])
        others = [variable for variable in container.get("env") or [] if variable.get("name") != name]
        container["env"] = [*others, {"name": name, "value": value}]

    return change


def _scale(name: str) -> Callable[[Json, Any], None]:
    def change(template: Json, value: int) -> None:
        template.setdefault("metadata", {}).setdefault("annotations", {})[_SCALE[name]] = str(value)

    return change


def serving_container(pod_spec: Json) -> Json:
    """The container that takes requests: the one with ports, else the first."""
    every = containers(pod_spec)
    return next((container for container in every if container.get("ports")), every[0])


def _sidecar(pod_spec: Json) -> Json | None:
    return next((container for container in containers(pod_spec) if container.get("name") == _AGENT), None)


_CHANGES: dict[str, Callable[[Json, Any], None]] = {
    "image": _image,
    "agent_image": _agent_image,
    "address": _set_variable("VACCEL_RPC_ADDRESS"),
    "model": _set_variable("MODEL"),
    "min_scale": _scale("min_scale"),
    "max_scale": _scale("max_scale"),
}
