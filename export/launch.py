"""Starts a tool, whose imports take seconds."""

from __future__ import annotations

import sys
from importlib import import_module

from vaccel_common import process, streams
from vaccel_common.commandline import INTERRUPTED


def run(module: str, tool: str) -> None:
    """Runs ``main`` of ``module`` as ``python -m TOOL``."""
    process.end_on_signals()
    try:
        main = import_module(module).main
    except KeyboardInterrupt:
        # Importing torch takes seconds.
        streams.tell("Error: interrupted")
        sys.exit(INTERRUPTED)
    main(prog_name=f"python -m {tool}")
