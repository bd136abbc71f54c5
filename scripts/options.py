"""``make docs``: docs/options.md, from the declarations that the programs themselves are made of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from agent.config import VARIABLE_PREFIX, AgentConfig
from function.cli.config import ClassifierConfig
from function.config import FunctionConfig
from function.core.options import Options
from vaccel_common.kinds import Choice, Flag
from vaccel_common.options import Option, declared

_FILE = Path(__file__).parent.parent / "docs/options.md"
_HEAD = """# Options

`make docs` generates this page from the options' declarations. `--help` of each program says the same.
"""


def text() -> str:
    """The whole page."""
    agent, function = declared(AgentConfig, VARIABLE_PREFIX), declared(FunctionConfig)
    return "\n".join(
        [
            _HEAD,
            "## The function (`python -m function`): environment variables\n",
            *_table(("variable", *_COLUMNS), ((_code(*option.variables), *_cells(option)) for option in function)),
            "\n## What a request may ask for\n",
            "The same names in a JSON body, a query string, the parameters of the inference protocol, and on the classifier's command\n"
            "line.\n",
            *_table(("option", *_COLUMNS), ((_code(option.name), *_json_cells(option)) for option in declared(Options))),
            "\n## The agent (`vaccel-rpc-agent`, `python -m agent`)\n",
            *_table(("option", "variable", *_COLUMNS), ((_flag(o), _code(*o.variables), *_cells(o)) for o in agent)),
            "\n## The classifier (`vaccel-classifier`, `python -m function.classifier`)\n",
            "It also takes what a request may ask for, as `--top-k`.\n",
            *_table(("option", *_COLUMNS), ((_flag(option), *_cells(option)) for option in declared(ClassifierConfig))),
            "",
        ]
    )


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
