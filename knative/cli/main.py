"""``python -m knative``: deploy, status, verify, undeploy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from knative.cli.params import SETTINGS, HostParam, ResolveParam, UrlParam, common, poll, waiting
from knative.cluster.objects import SELECTOR

# What a command needs is imported when it runs: --help is there at once.
if TYPE_CHECKING:
    from knative.cluster.objects import Json

_PARTS = click.Choice(["agent", "function", "all"])
_FILES = click.option("-f", "--file", "given", type=click.Path(path_type=Path), multiple=True, metavar="FILE",
                      help="These objects instead of knative/manifests; repeatable.")  # fmt: skip


@click.group(context_settings=SETTINGS)
def main() -> None:
    """Deploys the agents and the function to Knative, shows how they are, and verifies that they do what they promise.

    Exit codes: 0; 1 with one line that says why and what to do; 2 for a wrong option.
    """


@main.command()
@click.argument("part", type=_PARTS, default="all")
@_FILES
@click.option("--image", default=None, help="The function's image.")
@click.option("--agent-image", default=None, help="The agent's image.")
@click.option("--address", default=None, metavar="ADDR", help="Where the function finds its agent (VACCEL_RPC_ADDRESS).")
@click.option("--model", default=None, metavar="sha256:HEX|NAME", help="The function's model, one of the agent's store (MODEL).")
@click.option("--min-scale", type=click.IntRange(0), default=None, help="Pods of the function that are always kept.")
@click.option("--max-scale", type=click.IntRange(0), default=None, help="Pods of the function at most; 0 is no limit.")
@click.option("--dry-run", is_flag=True, help="Have the cluster check everything, and change nothing.")
@waiting(300, "all is ready")
@common
def deploy(part: str, **options: Any) -> None:
    """Applies the objects of PART (agent, function or all), and waits until they are ready.

    May be repeated: what is already so is left unchanged. While it waits it says why a pod is not ready.
    """
    from knative.cli import commands

    _run(commands.deploy, {"part": part, **options})


@main.command()
@click.option("--agent-selector", default=SELECTOR, metavar="LABELS", help="The agents' pods.")
@common
def status(**options: Any) -> None:
    """Shows the agents of each node with their models, and the functions with their revisions, scale and last cold start."""
    from knative.cli import commands

    _run(commands.status, options)


@main.command()
@click.option("--url", type=UrlParam(), default=None, show_default="the Knative Service's own", help="The function's URL.")
@click.option(
    "--ingress", "--ingress-host", "ingress", type=HostParam(), default=None, help="Connect to this address, with the URL's Host."
)
@click.option("--resolve", type=ResolveParam(), multiple=True, help="Connect to ADDR for HOST:PORT, as curl does; repeatable.")
@click.option(
    "--ca", type=click.Path(exists=True, dir_okay=False), default=None, help="PEM of who signed an https URL's certificate."
)
@click.option("--service", default="vaccel-function", help="The Knative Service whose pods are watched.")
@click.option(
    "--baseline-url", type=UrlParam(), default=None, help="A hello-world Knative Service of the namespace to compare with."
)
@click.option(
    "--max-extra-s",
    type=float,
    default=None,
    metavar="S",
    show_default="only reported",
    help="Seconds that the median cold start may take longer than the baseline's.",
)
@click.option("--cold-starts", type=click.IntRange(0), default=3, help="Rounds of: scale to zero, then a request.")
@click.option("--burst", type=click.IntRange(0), default=8, help="Requests at once, from zero; 0 leaves it out.")
@click.option("--idle-timeout", type=click.FloatRange(0), default=180.0, metavar="S", help="Seconds to scale to zero in.")
@click.option("--request-timeout", type=click.FloatRange(0, min_open=True), default=60.0, metavar="S", help="For one answer.")
@click.option("--text", "texts", multiple=True, help="What to classify instead of some mild sentences; repeatable.")
@click.option("--labels", default="hate-speech,offensive-language,neither", help="The labels that answers must have.")
@click.option("--agent-selector", default=SELECTOR, metavar="LABELS", help="The agents' pods.")
@poll
@common
def verify(**options: Any) -> None:
    """Sends real requests through the ingress and watches the cluster meanwhile.

    Checked: right answers; scaling to zero; cold starts and a burst from zero without a lost request; agents that stay warm. Without a
    cluster (a --url alone) what needs it is skipped. Exit code 1 if a check fails.
    """
    from knative.cli import commands

    if options["max_extra_s"] is not None and not options["baseline_url"]:
        raise click.UsageError("--max-extra-s needs --baseline-url")
    _run(commands.verify, options)


@main.command()
@click.argument("part", type=_PARTS, default="all")
@_FILES
@click.option("--all", "everything", is_flag=True, help="Objects too that something else has applied, such as Helm.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@waiting(300, "all is gone")
@common
def undeploy(part: str, **options: Any) -> None:
    """Deletes what deploy has applied of PART (agent, function or all). What is not there is fine."""
    from knative.cli import commands

    if not options["yes"] and not sys.stdin.isatty():
        raise click.UsageError("this is no terminal to ask on: give --yes")
    _run(commands.undeploy, {"part": part, **options})


def _run(command: Any, options: Json) -> None:
    """Runs a command of `commands`: its document on standard output, its error on standard error."""
    from knative.apply.overrides import OverrideError
    from knative.cli.output import Output
    from knative.cli.session import CommandSession
    from knative.cluster.errors import KnativeError

    output = Output(as_json=options.pop("as_json"), verbose=options.pop("verbose"))
    session = CommandSession(output, *(options.pop(name) for name in ("kubeconfig", "context", "namespace")))
    try:
        command(session, **options)
    except OverrideError as error:
        raise click.UsageError(str(error)) from None
    except KnativeError as error:
        output.document({**session.document, "error": str(error)})
        click.echo(f"knative: {error}", err=True)
        sys.exit(1)
    output.document({**session.document, "error": None})
