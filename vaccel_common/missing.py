"""A package that a tool lacks: one line with what installs it, in place of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType

#: Packages of ours: one that is missing is a fault of the project, and its traceback is wanted.
_OURS = (
    "agent",
    "benchmarks",
    "export",
    "function",
    "knative",
    "loadkit",
    "models",
    "scripts",
    "training",
    "vaccel_common",
    "vaccel_rpc",
)


def explain(tool: str, command: str) -> None:
    """From now on a missing package ends the program with code 1, and a line that names ``command``.

    What is missing may be imported at any time, since tools import much of what they need late.
    """

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        if not package or package in _OURS:
            sys.__excepthook__(kind, error, traceback)
        else:
            print(f"{tool} needs the package {package}, which is not installed: {command}", file=sys.stderr)  # noqa: T201 its stderr

    sys.excepthook = hook


def explain_tools(package: str, target: str, targets: Mapping[str, str] | None = None) -> None:
    """`explain` for ``python -m`` with ``package`` or a module of it, where that is what runs.

    ``make TARGET`` installs what its tools need; ``targets``: by module, where it is another.
    """
    arguments = sys.orig_argv
    module = arguments[arguments.index("-m") + 1] if "-m" in arguments[:-1] else ""
    if module == package or module.startswith(package + "."):
        explain(module, f"make {(targets or {}).get(module, target)}")
