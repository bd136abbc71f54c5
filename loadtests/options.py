"""The options that these load tests add to Locust's own, and what is made of them once for each process."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import Any

from loadtests.answers import AnswerChecker
from loadtests.limits import PassCriteria
from loadtests.shapes import RUN_TIME_S, SHAPES, LoadShape

NO_SHAPE = "none"
_TOKENIZER = str(Path(__file__).parent.parent / "models/tweets.pt")


def add(parser: Any) -> None:
    """Adds them to Locust's parser; none of them is shown on its page. A master sends them to its workers: text and numbers alone."""

    def option(name: str, meaning: str, **more: Any) -> None:
        parser.add_argument(name, help=meaning, include_in_web_ui=False, **more)

    option(
        "--texts",
        "texts to send: a file, one a line, or a .csv with a column 'tweet'; default: mild ones of 39 tokens on average",
    )
    option("--labels", "the model's labels, in their order", default="hate-speech,offensive-language,neither")
    option("--model", "the model's name in the routes of the Open Inference Protocol", default="tweets")
    option("--think", "seconds that a SingleTexts user thinks on average", type=_not_negative, default=1.0)
    option("--max-body", "the function's MAX_BODY: Misbehaving sends one byte more", type=int, default=1 << 20)
    option("--rpc-address", "an agent for RawRpc: unix:///PATH or tcp://HOST:PORT; without it there are no such users")
    option("--tokenizer", "the model's file, or its tokenizer file, for RawRpc", default=_TOKENIZER, env_var="TOKENIZER")
    option("--shape", "how the users come and go", choices=[NO_SHAPE, *SHAPES], default=NO_SHAPE)
    option("--steps", "steps of --shape step", type=_at_least_one, default=LoadShape.steps)
    option("--burst-seconds", "seconds of load of --shape bursts", type=_positive, default=LoadShape.burst)
    option("--gap-seconds", "seconds without any, longer than it takes to scale to zero", type=_positive, default=LoadShape.gap)
    option("--max-fail-ratio", "failed requests of all, 0 to 1; more: exit code 1", type=_ratio, default=0.0)
    option("--max-p95-ms", "milliseconds for 95 of 100 requests; more: exit code 1", type=_positive)
    option("--max-p99-ms", "milliseconds for 99 of 100 requests; more: exit code 1", type=_positive)


def limits(options: argparse.Namespace) -> PassCriteria:
    """What the options say is still good."""
    return PassCriteria(options.max_fail_ratio, options.max_p95_ms, options.max_p99_ms)


def plan(options: argparse.Namespace) -> LoadShape:
    """The shape that the options ask for, with Locust's own ``--users``, ``--spawn-rate`` and ``--run-time`` in it."""
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
def judge(labels: str) -> AnswerChecker:
    """The one judge of a process, so that what one user was answered is held against another's answer."""
    return AnswerChecker(labels.split(","))


def _not_negative(text: str) -> float:
    return _number(text, 0, float("inf"))


def _positive(text: str) -> float:
    if (number := _number(text, 0, float("inf"))) == 0:
        raise argparse.ArgumentTypeError("it must be more than 0")
    return number


def _ratio(text: str) -> float:
    return _number(text, 0, 1)


def _at_least_one(text: str) -> int:
    return int(_number(text, 1, 1000))


def _number(text: str, least: float, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{text} is not from {least:g} to {most:g}")
    return number
