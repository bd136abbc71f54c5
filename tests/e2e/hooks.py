"""What schemathesis must know to send lines of JSON."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(context: Any, value: Any) -> bytes:  # noqa: ARG001 the library's interface
    """A string as it is; anything else would be no lines at all."""
    return str(value).encode("utf-8", "replace")
