"""A package that a tool lacks, and Ctrl-C while it still imports others: one line in place of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from vaccel_common import streams

#: Exit code after Ctrl-C: 128 and the signal's number.
INTERRUPTED = 130
#: Packages of ours: one that is missing is a fault of the project, and its traceback is wanted.
_OURS = (
    "agent",
    "benchmarks",
    "export",
    "function",
    "knative",
    "loadkit",
    "loadtests",
    "models",
    "scripts",
    "training",
    "vaccel_common",
    "vaccel_rpc",
)


def explain(tool: str, command: str) -> None:
    """From now on a missing package ends the program with code 1, and a line that names ``command``.

    What is missing may be imported at any time, since tools import much of what they need late. An
    interrupt that nobody has handled ends it with one line, too, and with `INTERRUPTED`.
    """

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        package = _missing(error)
        if isinstance(error, KeyboardInterrupt):
            streams.occupy()
            streams.tell(f"{tool}: interrupted")
            sys.exit(INTERRUPTED)
        if not package or package in _OURS:
            sys.__excepthook__(kind, error, traceback)
        else:
            streams.occupy()
            streams.tell(f"{tool} needs the package {package}, which is not installed: {command}")

    sys.excepthook = hook


def explain_tools(
    package: str, target: str, targets: Mapping[str, str] | None = None, names: Mapping[str, str] | None = None
) -> None:
    """`explain` for ``python -m`` with ``package`` or a module of it, where that is what runs.

    ``make TARGET`` installs what its tools need; ``targets``: by module, where it is another.
    ``names``: by module, the names of console scripts, which are explained too.
    """
    arguments, names = sys.orig_argv, names or {}
    module = arguments[arguments.index("-m") + 1] if "-m" in arguments[:-1] else ""
    script = Path(sys.argv[0]).name if sys.argv else ""
    if module == package or module.startswith(package + "."):
        explain(names.get(module, module), f"make {(targets or {}).get(module, target)}")
    elif script in names.values():
        explain(script, f"make {target}")


def _missing(error: BaseException | None) -> str:
    """The package that was not found; empty for any other error."""
    while isinstance(error, ImportError):
        if isinstance(error, ModuleNotFoundError) and error.name:
            return error.name.partition(".")[0]
        # transformers raises its own error without a name for that of a package that it needs.
        error = error.__cause__
    return ""
