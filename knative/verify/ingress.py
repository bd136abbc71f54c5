"""HTTP requests through the ingress: to a URL, if necessary by connecting to another address."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import urllib3

_QUOTED = 200  # characters of an unexpected response that a message repeats


class RequestLost(Exception):
    """A request without a response; the message says why."""


@dataclass(frozen=True)
class HttpResponse:
    """A response; ``seconds`` from the request until all of it had arrived."""

    status: int
    body: bytes
    seconds: float
    location: str = ""

    def json(self) -> Any:
        """The body's value; None where it is not valid JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def summary(self) -> str:
        """Status and reason, for a message: a problem's own detail, or the beginning of the body."""
        problem = self.json()
        detail = problem.get("detail") if isinstance(problem, dict) else None
        return f"{self.status} {str(detail or self.body.decode(errors='replace'))[:_QUOTED]}".strip()


@dataclass(frozen=True)
class HttpTarget:
    """A URL; ``address``: host and port to connect to instead of the URL's; ``ca``: a PEM file with
    the certificate's CA.
    """

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
        """The URL's port, or its scheme's."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    def send(self, path: str = "", content: Any = None) -> HttpResponse:
        """Sends a GET for a path below the URL, or ``content`` as JSON in a POST, on a new
        connection. Raises `RequestLost`.
        """
        body = None if content is None else json.dumps(content).encode()
        headers = {"Host": urlsplit(self.url).netloc, "Accept": "application/json"}
        headers |= {"Content-Type": "application/json"} if body else {}
        began = time.monotonic()
        try:
            with self._pool() as pool:
                response = pool.urlopen(
                    "POST" if body else "GET", urlsplit(self.url).path.rstrip("/") + (path or "/"), body, headers,
                    retries=False, redirect=False, timeout=urllib3.Timeout(total=self.timeout),
                )  # fmt: skip
                seconds = time.monotonic() - began
                return HttpResponse(response.status, response.data, seconds, response.headers.get("Location", ""))
        except urllib3.exceptions.HTTPError as error:
            raise RequestLost(self._explained(error)) from None

    def _pool(self) -> urllib3.HTTPConnectionPool:
        host, port = self.address or (self.host, self.port)
        if urlsplit(self.url).scheme == "https":
            # The certificate is the one of the URL's host, whatever the address.
            return urllib3.HTTPSConnectionPool(
                host, port, ca_certs=self.ca, cert_reqs="CERT_REQUIRED", server_hostname=self.host, assert_hostname=self.host
            )
        return urllib3.HTTPConnectionPool(host, port)

    def _explained(self, error: urllib3.exceptions.HTTPError) -> str:
        if isinstance(error, urllib3.exceptions.NameResolutionError):
            return f"{self.host} does not resolve: give the ingress's address, --ingress HOST[:PORT]"
        if isinstance(error, urllib3.exceptions.NewConnectionError):
            host, port = self.address or (self.host, self.port)
            return f"{host}:{port} does not accept the connection: {str(error).rpartition(': ')[2]}"
        if isinstance(error, urllib3.exceptions.TimeoutError):
            return f"no response within {self.timeout:g} s"
        return f"the connection was lost: {error}"


def address_of(
    url: str, ingress: tuple[str, int | None] | None, resolve: Sequence[tuple[str, int, str]]
) -> tuple[str, int] | None:
    """Where to connect to for a URL, by ``--ingress`` and curl's ``--resolve``; None: to the URL's
    own host.
    """
    target = HttpTarget(url)
    for host, port, address in resolve:
        if (host, port) == (target.host, target.port):
            return address, port
    return (ingress[0], ingress[1] or target.port) if ingress else None
