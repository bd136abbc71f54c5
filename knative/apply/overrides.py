"""What the command line changes in the objects of the files. No network."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from knative.cluster.objects import Json, containers, is_function
from vaccel_common.kinds import Parsed, Text
from vaccel_common.number_kinds import Integer
from vaccel_common.options import ConfigError, option
from vaccel_rpc.pool.targets import parse_targets

_AGENT = "vaccel-agent"
_AGENT_KINDS = ("DaemonSet", "Deployment", "StatefulSet")
#: Option -> the function's variable, or its revision's annotation.
_VARIABLES = {"address": "VACCEL_RPC_ADDRESS", "model": "MODEL"}
_ANNOTATIONS = {"min_scale": "autoscaling.knative.dev/min-scale", "max_scale": "autoscaling.knative.dev/max-scale"}


def _address(text: str) -> str:
    parse_targets(text)
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
        help="The addresses of the function's agents (VACCEL_RPC_ADDRESS).",
        choose="unix:// for a sidecar, tcp:// with a headless Service for several agents.",
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
    for name, value in vars(overrides).items():
        if value is None:
            continue
        what = "agent" if name == "agent_image" else "function"
        targets = [obj for obj in copies if (_has_agent(obj) if what == "agent" else is_function(obj))]
        if not targets:
            raise ConfigError(f"--{name.replace('_', '-')}: this command deploys no {what}")
        for target in targets:
            _change(target["spec"]["template"], name, value)
    return copies


def _has_agent(obj: Json) -> bool:
    """Whether it is an agent, or a function with one as a sidecar."""
    return obj["kind"] in _AGENT_KINDS or (is_function(obj) and _sidecar(obj["spec"]["template"]["spec"]) is not None)


def _change(template: Json, name: str, value: Any) -> None:
    container = serving_container(template["spec"])
    if name == "image":
        container["image"] = value
    elif name == "agent_image":
        (_sidecar(template["spec"]) or container)["image"] = value
    elif name in _VARIABLES:
        others = [variable for variable in container.get("env") or [] if variable.get("name") != _VARIABLES[name]]
        container["env"] = [*others, {"name": _VARIABLES[name], "value": value}]
    else:
        template.setdefault("metadata", {}).setdefault("annotations", {})[_ANNOTATIONS[name]] = str(value)


def serving_container(pod_spec: Json) -> Json:
    """The container that takes requests: the one with ports, else the first."""
    every = containers(pod_spec)
    return next((container for container in every if container.get("ports")), every[0])


def _sidecar(pod_spec: Json) -> Json | None:
    return next((container for container in containers(pod_spec) if container.get("name") == _AGENT), None)
