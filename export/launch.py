"""Starts a tool; a package that it lacks is one line with the command that installs it."""

from __future__ import annotations

import sys
from importlib import import_module

from vaccel_common import streams
from vaccel_common.commandline import INTERRUPTED


def run(module: str, tool: str, target: str) -> None:
    """Runs ``main`` of ``module`` as ``python -m TOOL``.

    Exits with code 1 and one line where a package is missing, which ``make TARGET`` installs.
    """
    try:
        main = import_module(module).main
    except ModuleNotFoundError as error:
        sys.exit(f"{tool} needs the package {error.name}, which is not installed: make {target}")
    except KeyboardInterrupt:
        # Importing torch takes seconds.
        streams.tell("Error: interrupted")
        sys.exit(INTERRUPTED)
    main(prog_name=f"python -m {tool}")
