"""``make docs``: docs/options.md, from the declarations that the programs themselves are made of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from agent.config import VARIABLE_PREFIX, AgentConfig
from benchmarks.programs import PROGRAMS
from export.commands import main as export
from export.variants import main as variants
from function.cli.config import ClassifierConfig
from function.config import FunctionConfig
from function.core.options import Options
from knative.cli.config import ClusterConfig
from knative.cli.main import COMMANDS
from loadtests.config import LoadTestConfig
from vaccel_common.kinds import Choice, Flag
from vaccel_common.options import Option, declared

_FILE = Path(__file__).parent.parent / "docs/options.md"
_HEAD = """# Options

`make docs` generates this page from the options' declarations. `--help` of each program says the same.
"""


def text() -> str:
    """The whole page."""
    sections = [_HEAD, *_function(), *_request(), *_agent(), *_classifier(), *_knative(), *_programs(), *_models()]
    return "\n".join([*sections, ""])


def _function() -> list[str]:
    rows = ((_code(*option.variables), *_cells(option)) for option in declared(FunctionConfig))
    return ["## The function (`python -m function`): environment variables\n", *_table(("variable", *_COLUMNS), rows)]


def _request() -> list[str]:
    rows = ((_code(option.name), *_json_cells(option)) for option in declared(Options))
    where = (
        "The names are the same in a JSON body, a query string, the parameters of the inference protocol, and\n"
        "on the classifier's command line.\n"
    )
    return ["\n## The options of a request\n", where, *_table(("option", *_COLUMNS), rows)]


def _agent() -> list[str]:
    return ["\n## The agent (`vaccel-rpc-agent`, `python -m agent`)\n", *_with_variables(declared(AgentConfig, VARIABLE_PREFIX))]


def _classifier() -> list[str]:
    return [
        "\n## The classifier (`vaccel-classifier`, `python -m function.classifier`)\n",
        "It also takes the options of a request, as `--top-k`.\n",
        *_with_variables(declared(ClassifierConfig)),
    ]


def _knative() -> list[str]:
    lines = ["\n## The cluster's command line (`python -m knative`)\n", "Every command takes:\n", *_flags(ClusterConfig)]
    for command, settings in COMMANDS.items():
        lines += [f"\n### `python -m knative {command}`\n", *_flags(*settings)]
    return lines


def _programs() -> list[str]:
    lines = [
        "\n## The load test (`locust -f loadtests/locustfile.py`)\n",
        "Beside Locust's own options:\n",
        *_flags(LoadTestConfig),
    ]
    for program, settings in PROGRAMS.items():
        lines += [f"\n## `python -m {program}`\n", *_flags(settings)]
    return lines


def _models() -> list[str]:
    """Of the commands that click declares; they need torch, and `models.train` needs more than `make docs` installs."""
    lines = ["\n`python -m models.train --help` lists the options of the training."]
    for program, group in (("models.export", export), ("models.variants", variants)):
        for command in group.commands.values():
            parameters = (parameter for parameter in command.params if isinstance(parameter, click.Option))
            rows = ((_code(*parameter.opts, *parameter.secondary_opts), parameter.help or "") for parameter in parameters)
            lines += [f"\n## `python -m {program} {command.name}`\n", *_table(("option", "meaning"), rows)]
    return lines


def _flags(*settings: type[Any]) -> list[str]:
    rows = ((_flag(option), *_cells(option)) for each in settings for option in declared(each))
    return _table(("option", *_COLUMNS), rows)


def _with_variables(options: Sequence[Option]) -> list[str]:
    rows = ((_flag(option), _code(*option.variables), *_cells(option)) for option in options)
    return _table(("option", "variable", *_COLUMNS), rows)


_COLUMNS = ("meaning", "values", "default", "how to choose it")


def _cells(option: Option) -> tuple[str, ...]:
    values = option.kind.needed if option.kind.bounded else option.kind.metavar
    default = "required" if option.required else option.default_text
    return option.help, ", ".join(option.kind.words) if isinstance(option.kind, Choice) else values, default, option.choose


def _json_cells(option: Option) -> tuple[str, ...]:
    """Of a value that is sent as JSON."""
    meaning, values, default, choose = _cells(option)
    return (
        (meaning, "true, false", json.dumps(option.default), choose)
        if isinstance(option.kind, Flag)
        else (meaning, values, default, choose)
    )


def _flag(option: Option) -> str:
    return _code(*(option.flags or (option.flag,)))


def _code(*names: str) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: tuple[str, ...], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


if __name__ == "__main__":
    _FILE.write_text(text())
