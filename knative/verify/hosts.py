"""Where requests connect to, as the command line says it: ``HOST[:PORT]``, curl's
``HOST:PORT:ADDR``, a URL.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from vaccel_common.kinds import Parsed


def _host(text: str) -> tuple[str, int | None]:
    """Host and port; an IPv6 address is written in brackets."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not re.fullmatch(r"[\w.:\[\]-]+", text):
        raise ValueError("HOST[:PORT] is needed, such as 192.0.2.7:80")
    return host, port


def _resolve(text: str) -> tuple[str, int, str]:
    host, _, rest = text.partition(":")
    port, _, address = rest.partition(":")
    if not host or not port.isdecimal() or not address:
        raise ValueError("HOST:PORT:ADDR is needed, such as hello.example.com:80:192.0.2.7")
    return host.lower(), int(port), address.strip("[]")


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("a URL such as http://vaccel-function.default.example.com is needed")
    return text


HOST = Parsed(_host, "HOST[:PORT]", "a host, and a port")
RESOLVE = Parsed(_resolve, "HOST:PORT:ADDR", "HOST:PORT:ADDR")
URL = Parsed(_url, "URL", "an http or https URL")
