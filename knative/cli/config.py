"""The options that several commands share, and those of ``deploy``, ``status`` and ``undeploy``,
each declared once.

`knative.apply.overrides` and `knative.verify.config` declare the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from knative.cluster.objects import SELECTOR
from vaccel_common.kinds import FileName, Flag, Many, PathTo, Text
from vaccel_common.number_kinds import seconds
from vaccel_common.options import option


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """Which cluster and namespace a command works with, and how it reports: the options of every
    command.
    """

    namespace: str | None = option(
        Text("NAME"),
        flags=("-n", "--namespace"),
        help="The namespace of the objects.",
        shown="the kubeconfig context's, or the pod's own",
    )
    kubeconfig: str | None = option(
        FileName(),
        help="The kubeconfig: which cluster, and with whose rights.",
        shown="KUBECONFIG, ~/.kube/config; in a pod its service account",
    )
    context: str | None = option(Text("NAME"), help="A context of the kubeconfig.", shown="the current one")
    as_json: bool = option(
        Flag(),
        False,
        flags=("--json",),
        help="Print one JSON document to standard output, everything else to standard error.",
        choose="For programs: the document is complete where the command fails too.",
    )
    verbose: bool = option(
        Flag(),
        False,
        flags=("-v", "--verbose"),
        help="Also report what was skipped, such as a check for lack of a right.",
        choose="When a result is unexpected.",
    )


@dataclass(frozen=True, kw_only=True)
class FilesConfig:
    """Which objects ``deploy`` applies and ``undeploy`` deletes."""

    files: tuple[Path, ...] = option(
        Many(PathTo()),
        (),
        flags=("-f", "--file"),
        help="A YAML file with objects to use instead of knative/manifests; repeatable.",
        choose="For objects of your own, such as a chart's output.",
        shown="knative/manifests",
    )


@dataclass(frozen=True, kw_only=True)
class WaitConfig:
    """How long ``deploy`` and ``undeploy`` wait, and how often they look."""

    timeout: float = option(
        seconds(minimum=0),
        300.0,
        help="How long to wait until every object is ready, or gone.",
        choose="More where large images are pulled.",
    )
    no_wait: bool = option(Flag(), False, help="Do not wait.", choose="In a pipeline that checks readiness later.")
    poll_s: float = option(
        seconds(),
        1.0,
        help="The time between two looks at the cluster.",
        choose="Less reports changes sooner and loads the API server more.",
    )


@dataclass(frozen=True, kw_only=True)
class DeployConfig:
    """What ``deploy`` does besides what its files and overrides say."""

    dry_run: bool = option(
        Flag(),
        False,
        help="Have the cluster validate everything and change nothing.",
        choose="Before the first deployment to a cluster.",
    )


@dataclass(frozen=True, kw_only=True)
class StatusConfig:
    """What ``status`` shows."""

    agent_selector: str = option(Text("LABELS"), SELECTOR, help="The label selector of the agents' pods.")


@dataclass(frozen=True, kw_only=True)
class UndeployConfig:
    """What ``undeploy`` deletes, and whether it asks."""

    everything: bool = option(
        Flag(), False, flags=("--all",), help="Also delete objects that something else has applied, such as Helm."
    )
    yes: bool = option(Flag(), False, flags=("-y", "--yes"), help="Do not ask for confirmation; required without a terminal.")
