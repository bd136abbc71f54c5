"""The click commands of ``python -m knative``.

Their options come from the settings classes of `COMMANDS`, their work is in `knative.cli.commands` and
`knative.cli.verification`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from knative.apply.overrides import Overrides
from knative.cli.config import ClusterConfig, DeployConfig, FilesConfig, StatusConfig, UndeployConfig, WaitConfig
from knative.verify.config import VerifyConfig
from vaccel_common.commandline import ToolGroup, options
from vaccel_common.options import ConfigError, declared

#: Command -> the settings classes that declare its options, besides `ClusterConfig`, which every
#: command has.
COMMANDS: dict[str, tuple[type[Any], ...]] = {
    "deploy": (FilesConfig, Overrides, DeployConfig, WaitConfig),
    "status": (StatusConfig,),
    "verify": (VerifyConfig,),
    "undeploy": (FilesConfig, UndeployConfig, WaitConfig),
}
_CONTEXT = {"show_default": True, "max_content_width": 120, "help_option_names": ["-h", "--help"]}
_PART = click.argument("part", type=click.Choice(["agent", "function", "all"]), default="all")

_Command = TypeVar("_Command", bound=Callable[..., Any])

# What a command needs is imported when it runs, so that --help appears at once.


def _options_of(name: str) -> Callable[[_Command], _Command]:
    """Gives a command the options of its settings classes, in their order."""

    def decorate(command: _Command) -> _Command:
        for settings in reversed((*COMMANDS[name], ClusterConfig)):
            command = options(settings)(command)
        return command

    return decorate


@click.group(cls=ToolGroup, context_settings=_CONTEXT)
def main() -> None:
    """Deploys the agents and the function to Knative, shows their state, and verifies that they do
    what they promise.

    Exit codes: 0; 1 with one line that says why and what to do; 2 for an invalid option.
    """


@main.command()
@_PART
@_options_of("deploy")
def deploy(part: str, **values: Any) -> None:
    """Applies the objects of PART (agent, function or all), and waits until they are ready.

    It may be repeated: an object that is already as it should be is left unchanged. While it waits
    it says why a pod is not ready.
    """
    from knative.cli import commands

    _run(commands.deploy, "deploy", values, part=part)


@main.command()
@_options_of("status")
def status(**values: Any) -> None:
    """Shows the agents of each node with their models, and the functions with their revisions,
    scale and last cold start.
    """
    from knative.cli import commands

    _run(commands.status, "status", values)


@main.command()
@_options_of("verify")
def verify(**values: Any) -> None:
    """Sends real requests through the ingress and observes the cluster meanwhile.

    It checks that answers are right, that the function scales to zero, that cold starts and a burst
    from zero lose no request, and that the agents stay warm. Without a cluster, with a --url alone,
    the checks that need one are skipped. Exit code 1 if a check fails.
    """
    from knative.cli import verification

    _run(verification.verify, "verify", values)


@main.command()
@_PART
@_options_of("undeploy")
def undeploy(part: str, **values: Any) -> None:
    """Deletes what deploy has applied of PART (agent, function or all).

    It is no error if an object does not exist.
    """
    from knative.cli import commands

    if not values["yes"] and not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for confirmation on: give --yes")
    _run(commands.undeploy, "undeploy", values, part=part)


def _run(function: Callable[..., None], name: str, values: dict[str, Any], **arguments: Any) -> None:
    """Runs a function of `knative.cli.commands` with its settings.

    Its document goes to standard output, its error to standard error.
    """
    from knative.cli.output import Output
    from knative.cli.session import CommandSession
    from knative.cluster.errors import KnativeError

    cluster = _build(ClusterConfig, values)
    output = Output(as_json=cluster.as_json, verbose=cluster.verbose)
    session = CommandSession(output, cluster.kubeconfig, cluster.context, cluster.namespace)
    try:
        function(session, *(_build(settings, values) for settings in COMMANDS[name]), **arguments)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    except KnativeError as error:
        output.document({**session.document, "error": str(error)})
        click.echo(f"knative: {error}", err=True)
        sys.exit(1)
    output.document({**session.document, "error": None})


def _build(settings: type[Any], values: dict[str, Any]) -> Any:
    """An instance of a settings class, from the values of its own options."""
    return settings(**{option.name: values[option.name] for option in declared(settings)})
