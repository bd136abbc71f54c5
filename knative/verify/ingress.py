"""HTTP requests through the ingress: to a URL, though another address may have to be connected to."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import urllib3

_SAID = 200  # characters of a wrong answer that are repeated


class RequestLost(Exception):
    """A request that got no answer; the message says why."""


@dataclass(frozen=True)
class HttpResponse:
    """An answer, and the seconds from asking until all of it was here."""

    status: int
    body: bytes
    seconds: float
    location: str = ""

    def json(self) -> Any:
        """The body; None where it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def said(self) -> str:
        """What it is, for an error: status and the body's beginning."""
        return f"{self.status} {self.body[:_SAID].decode(errors='replace')}".strip()


@dataclass(frozen=True)
class Endpoint:
    """A URL; ``address``: host and port to connect to instead of those in it; ``ca``: a PEM file of who signed its certificate."""

    url: str
    address: tuple[str, int] | None = None
    ca: str | None = None
    timeout: float = 60.0

    @property
    def host(self) -> str:
        """The URL's host name."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The URL's port."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    def ask(self, path: str = "", made: Any = None) -> HttpResponse:
        """GETs a path below the URL, or POSTs ``made`` as JSON; on a connection of its own. Raises `RequestLost`."""
        body = None if made is None else json.dumps(made).encode()
        headers = {"Host": urlsplit(self.url).netloc, "Accept": "application/json"}
        headers |= {"Content-Type": "application/json"} if body else {}
        began = time.monotonic()
        try:
            with self._pool() as pool:
                answer = pool.urlopen(
                    "POST" if body else "GET", urlsplit(self.url).path.rstrip("/") + (path or "/"), body, headers,
                    retries=False, redirect=False, timeout=urllib3.Timeout(total=self.timeout),
                )  # fmt: skip
                return HttpResponse(answer.status, answer.data, time.monotonic() - began, answer.headers.get("Location", ""))
        except urllib3.exceptions.HTTPError as error:
            raise RequestLost(self._told(error)) from None

    def _pool(self) -> urllib3.HTTPConnectionPool:
        host, port = self.address or (self.host, self.port)
        if urlsplit(self.url).scheme == "https":
            # The certificate is the URL's, wherever it is connected to.
            return urllib3.HTTPSConnectionPool(
                host, port, ca_certs=self.ca, cert_reqs="CERT_REQUIRED", server_hostname=self.host, assert_hostname=self.host
            )
        return urllib3.HTTPConnectionPool(host, port)

    def _told(self, error: urllib3.exceptions.HTTPError) -> str:
        if isinstance(error, urllib3.exceptions.NameResolutionError):
            return f"{self.host} does not resolve: give the ingress's address, --ingress HOST[:PORT]"
        if isinstance(error, urllib3.exceptions.NewConnectionError):
            host, port = self.address or (self.host, self.port)
            return f"{host}:{port} does not take the connection: {str(error).rpartition(': ')[2]}"
        if isinstance(error, urllib3.exceptions.TimeoutError):
            return f"no answer within {self.timeout:g} s"
        return f"the connection was lost: {error}"


def address_of(
    url: str, ingress: tuple[str, int | None] | None, resolve: Sequence[tuple[str, int, str]]
) -> tuple[str, int] | None:
    """Where to connect to for a URL, as ``--ingress`` and curl's ``--resolve`` say; None: to the URL's own."""
    site = Endpoint(url)
    for host, port, address in resolve:
        if (host, port) == (site.host, site.port):
            return address, port
    return (ingress[0], ingress[1] or site.port) if ingress else None
