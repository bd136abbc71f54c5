"""The options of ``python -m benchmarks``, each declared once; nothing heavy is imported here.

`benchmarks.programs` has those of the other programs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.schedule import Arrivals
from loadkit.processes import ROOT
from vaccel_common import number_kinds
from vaccel_common.kinds import Choice, Flag, Many, Parsed, PathTo
from vaccel_common.number_kinds import Integer, Number
from vaccel_common.options import option

#: The parts of a run, of which `EXTRA` are measured only where they are named.
PARTS = ("throughput", "openloop", "start", "request", "around", "hop", "writes", "sessions", "models", "agents", "rules", "tune")
EXTRA = ("tune",)
#: The closed loop's loads: a text in each request, one text in ten long, and 16 texts in each.
LOADS = ("single", "mixed", "several")
_OUT, _PAGE = ROOT / "build/bench/results.json", ROOT / "docs/performance.md"

_Value = TypeVar("_Value")


def list_of(each: Callable[[str], _Value], placeholder: str, expected: str) -> Parsed[tuple[_Value, ...]]:
    """Values separated by commas."""
    return Parsed(
        lambda text: tuple(each(part.strip()) for part in text.split(",")),
        placeholder,
        expected,
        lambda values: ",".join(map(str, values)),
    )


def some_of(names: tuple[str, ...], placeholder: str = "PART,...") -> Parsed[tuple[str, ...]]:
    """Some of these names, separated by commas."""
    return list_of(Choice(names).parse, placeholder, f"some of {', '.join(names)}, separated by commas")


def _part_of_a_name(text: str) -> str:
    if not text:
        raise ValueError("a part of a name is needed")
    return text


def _variant(text: str) -> tuple[str, str]:
    name, separator, options = text.partition("=")
    if not name or not separator:
        raise ValueError("NAME=OPTIONS is needed")
    return name, options


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The options of ``python -m benchmarks``."""

    quick: bool = option(
        Flag(),
        False,
        help="Ten minutes and rough figures instead of an hour.",
        choose="To see that everything runs; figures to quote need a full run.",
    )
    only: tuple[str, ...] | None = option(
        some_of(PARTS),
        help=f"The parts to measure; the others keep their figures. Parts: {', '.join(PARTS)}.",
        shown=f"all but {', '.join(EXTRA)}",
    )
    peers: bool = option(
        Flag(),
        False,
        help="Also measure mosec and LitServe, which are installed into environments of their own.",
        choose="Needs a package index: each brings its own torch and ONNX Runtime.",
    )
    targets: tuple[str, ...] | None = option(
        list_of(_part_of_a_name, "PART,...", "parts of names, separated by commas"),
        help="The closed loop's targets (throughput, tune): those whose name contains one of these.",
        choose="unix,fast,mosec compares the function with one server; what --variant names is measured anyway.",
        shown="all",
    )
    clients: tuple[int, ...] | None = option(
        list_of(Integer(1).parse, "NUMBER,...", "whole numbers from 1, separated by commas"),
        help="The closed loop's numbers of clients.",
        choose="The goals need 1, 8 and 32.",
        shown="1,8,32,128; quick: 1,8,32",
    )
    loads: tuple[str, ...] = option(
        some_of(LOADS, "LOAD,..."),
        LOADS,
        help="The closed loop's loads: a text in each request, the same with one text in ten long, 16 texts in each.",
        choose="The goals of a comparison need single alone.",
    )
    texts: Path | None = option(
        PathTo(existing=True),
        help="The texts: a file with one on each line, or a .csv with a column 'tweet'.",
        shown="600 mild texts as long as tweets",
    )
    variants: tuple[tuple[str, str], ...] = option(
        Many(Parsed(_variant, "NAME=OPTIONS", "a name and options of the agent")),
        (),
        flags=("--variant",),
        help="Also measure the function with these options for its agent; repeatable.",
        choose="Such as registered=--precision=registered.",
        shown="none",
    )
    arrivals: Arrivals = option(
        Choice[Arrivals](("poisson", "constant")),
        "poisson",
        help="When the open loop sends its requests.",
        choose="poisson is what independent clients do; constant shows the best case.",
    )
    rates: tuple[float, ...] | None = option(
        list_of(Number(above=0).parse, "RATE,...", "numbers separated by commas"),
        help="The open loop's requests a second.",
        choose="Below the capacity, unless overload is the question.",
        shown="shares of the measured capacity",
    )
    open_seconds: float | None = option(
        number_kinds.seconds(),
        help="How long each rate of the open loop lasts.",
        choose="Longer gives steadier tails.",
        shown="15; quick: 4",
    )
    repeats: int | None = option(
        Integer(1), help="How often each point is measured.", shown="3; quick: 1", choose="More show how far figures scatter."
    )
    out: Path = option(
        PathTo(), _OUT, help="The file of the results; tables and plots are written beside it.", shown="build/bench/results.json"
    )
    report: Path | None = option(PathTo(existing=True), help="Measure nothing: write these results into --page.", shown="measure")
    page: Path = option(PathTo(), _PAGE, help="The page whose tables --report writes.", shown="docs/performance.md")
