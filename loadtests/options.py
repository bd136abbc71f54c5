"""Adds the options of `loadtests.config` to Locust's parser, and builds from them what a process
needs once.
"""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Callable
from typing import Any

from loadtests.answers import AnswerChecker
from loadtests.config import LoadTestConfig
from loadtests.criteria import PassCriteria
from loadtests.shapes import RUN_TIME_S, LoadShape
from vaccel_common.kinds import Choice, Kind
from vaccel_common.options import Option, declared


def add(parser: Any) -> None:
    """Adds every option to Locust's parser; Locust's page shows none of them."""
    for option in declared(LoadTestConfig):
        details: dict[str, Any] = {"help": _help(option), "default": option.default, "dest": option.name}
        if isinstance(option.kind, Choice):
            details["choices"] = option.kind.words
        else:
            details |= {"type": _type(option.kind), "metavar": option.kind.metavar}
        # As everywhere, a variable that is empty is not set.
        if option.variables and os.environ.get(option.variables[0]) != "":
            details["env_var"] = option.variables[0]
        parser.add_argument(option.flag, include_in_web_ui=False, **details)


def _help(option: Option) -> str:
    return option.description + (f" Default: {option.default_text}." if option.default_text else "")


def _type(kind: Kind[Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return kind.parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None

    return parse


def criteria(options: argparse.Namespace) -> PassCriteria:
    """When the test has passed."""
    return PassCriteria(options.max_fail_ratio, options.max_p95_ms, options.max_p99_ms)


def shape(options: argparse.Namespace) -> LoadShape:
    """The chosen shape, with Locust's own ``--users``, ``--spawn-rate`` and ``--run-time``."""
    return LoadShape(
        options.shape,
        options.num_users or 1,
        options.spawn_rate or 1.0,
        float(options.run_time or RUN_TIME_S),
        options.steps,
        options.burst_seconds,
        options.gap_seconds,
    )


@functools.cache
def checker(labels: str) -> AnswerChecker:
    """The only checker of a process, so that the answers to all its users are compared with each
    other.
    """
    return AnswerChecker(labels.split(","))
