"""What libraries would tell their vendors."""

from __future__ import annotations

import os


def send_nothing() -> None:
    """From now on onnxruntime, once it is imported, neither writes a device id nor calls its vendor.

    It reads the variable while it is imported: its ``disable_telemetry_events`` comes too late. So a
    package that uses it calls this before it imports anything else. A user's own value does not count,
    since no option of ours says otherwise.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
