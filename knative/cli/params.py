"""Options that several commands have, and the types of their values."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

_F = TypeVar("_F", bound=Callable[..., Any])

SETTINGS = {"show_default": True, "max_content_width": 120, "help_option_names": ["-h", "--help"]}


class HostParam(click.ParamType[tuple[str, int | None]]):
    """``HOST`` or ``HOST:PORT``, an IPv6 address in brackets."""

    name = "HOST[:PORT]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int | None]:
        """Host and port."""
        try:
            parts = urlsplit(f"//{value}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or not re.fullmatch(r"[\w.:\[\]-]+", str(value)):
            self.fail(f"{value!r}: HOST[:PORT] is needed, such as 192.0.2.7:80", param, ctx)
        return host, port


class ResolveParam(click.ParamType[tuple[str, int, str]]):
    """curl's ``HOST:PORT:ADDR``."""

    name = "HOST:PORT:ADDR"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int, str]:
        """Host, port, address."""
        host, _, rest = str(value).partition(":")
        port, _, address = rest.partition(":")
        if not host or not port.isdecimal() or not address:
            self.fail(f"{value!r}: HOST:PORT:ADDR is needed, such as hello.example.com:80:192.0.2.7", param, ctx)
        return host.lower(), int(port), address.strip("[]")


class UrlParam(click.ParamType[str]):
    """An ``http://`` or ``https://`` URL."""

    name = "URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it is, if it is one."""
        try:
            parts = urlsplit(str(value))
            good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            good = False
        if not good:
            self.fail(f"{value!r}: a URL such as http://vaccel-function.default.example.com is needed", param, ctx)
        return str(value)


def _all(*options: Callable[[_F], _F]) -> Callable[[_F], _F]:
    def decorate(function: _F) -> _F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


#: Where the cluster is, and how to speak.
common = _all(
    click.option(
        "-n", "--namespace", default=None, show_default="the context's, or the pod's own", help="Where the objects are."
    ),
    click.option("--kubeconfig", type=click.Path(), show_default="KUBECONFIG, ~/.kube/config, in a pod its account", default=None,
                 help="Where the cluster is, and who asks."),
    click.option("--context", default=None, show_default="the current one", help="A context of the kubeconfig."),
    click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output; the rest on standard error."),
    click.option("-v", "--verbose", is_flag=True, help="Say what was left out, such as a check for lack of a right."),
)  # fmt: skip


def waiting(seconds: float, what: str) -> Callable[[_F], _F]:
    """How long to wait, and how often to look."""
    return _all(
        click.option("--timeout", type=click.FloatRange(0), default=seconds, metavar="S", help=f"Seconds to wait until {what}."),
        click.option("--no-wait", is_flag=True, help="Do not wait."),
        poll,
    )


poll: Callable[[Any], Any] = click.option(
    "--poll-s", "poll", type=click.FloatRange(0, min_open=True), default=1.0, metavar="S", help="Seconds between looks."
)
