"""The page for a browser: our own HTML, CSS and JavaScript, read at first use. No HTTP."""

from __future__ import annotations

from functools import cache
from pathlib import Path

#: Nothing but what comes from the function itself; no inline script or style.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_TYPES = {"index.html": "text/html", "style.css": "text/css", "page.js": "text/javascript"}


@cache
def asset(name: str) -> tuple[str, bytes]:
    """A file's media type and bytes. Raises ``KeyError`` for a name that is none of the page's."""
    return f"{_TYPES[name]}; charset=utf-8", (Path(__file__).parent / name).read_bytes()
