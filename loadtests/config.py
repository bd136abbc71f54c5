"""The options that the load tests add to Locust's own, each declared once. No Locust.

A master sends their values to its workers, so they are texts and numbers alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from function.cli.lines import DEFAULT_COLUMN
from loadkit.texts import LABELS
from loadtests.criteria import PassCriteria
from loadtests.shapes import SHAPES, LoadShape
from vaccel_common.kinds import Choice, FileName, Text
from vaccel_common.number_kinds import Integer, Number, seconds
from vaccel_common.options import option

#: The word for Locust's own way: users come at ``--spawn-rate`` and stay.
NO_SHAPE = "none"
_TOKENIZER = str(Path(__file__).parent.parent / "models/tweets.pt")
_RATIO = Number(0, maximum=1)
_MILLISECONDS = Number(above=0, placeholder="MILLISECONDS")


@dataclass(frozen=True, kw_only=True)
class LoadTestConfig:
    """What is sent, by whom, in which shape, and when the test has failed."""

    texts: str | None = option(
        FileName(),
        help="The texts to send: a file with one on each line, or a .csv, .tsv or .jsonl.",
        shown="500 mild texts of 39 tokens on average",
        choose="Texts as long as those of your users: length decides the load.",
    )
    column: str | None = option(Text("NAME"), shown=DEFAULT_COLUMN, help="The column of a .csv or .tsv with the texts.")
    pair_column: str | None = option(
        Text("NAME"),
        help="The column of a .csv or .tsv with each text's second one.",
        choose="For a model of pairs; a row without a second text is a single one.",
        shown="single texts",
    )
    labels: str = option(
        Text("LABEL,..."), ",".join(LABELS), help="The model's labels, in their order.", choose="Those of a model of your own."
    )
    model: str = option(Text("NAME"), "tweets", help="The model's name in the routes of the Open Inference Protocol.")
    think: float = option(
        seconds(minimum=0),
        1.0,
        help="The time that a SingleTexts user thinks between two texts, on average.",
        choose="0 loads the function as much as the users can.",
    )
    max_body: int = option(
        Integer(1, placeholder="BYTES"),
        1 << 20,
        help="The function's MAX_BODY, which Misbehaving exceeds by one byte.",
        choose="As the function is configured.",
    )
    rpc_address: str | None = option(
        Text("ADDR"),
        help="The agent for RawRpc users: unix:///PATH or tcp://HOST:PORT.",
        choose="An address that the load generator can reach.",
        shown="no RawRpc users",
    )
    tokenizer: str = option(
        FileName(),
        _TOKENIZER,
        variables=("TOKENIZER",),
        help="The model file or tokenizer file, for RawRpc users.",
        shown="models/tweets.pt",
    )
    shape: str = option(
        Choice((NO_SHAPE, *SHAPES)),
        NO_SHAPE,
        help="How users come and go.",
        choose="steady for a figure, step for the capacity, spike and bursts for scaling.",
    )
    steps: int = option(Integer(1, 1000), LoadShape.steps, help="The number of steps of --shape step.")
    burst_seconds: float = option(
        seconds(), LoadShape.burst, help="How long one burst of --shape bursts lasts.", choose="Longer than a cold start."
    )
    gap_seconds: float = option(
        seconds(),
        LoadShape.gap,
        help="How long --shape bursts pauses between bursts.",
        choose="Longer than scaling to zero takes, so that each burst begins with a cold start.",
    )
    max_fail_ratio: float = option(
        _RATIO,
        PassCriteria.fail_ratio,
        help="The share of requests that may fail; more is exit code 1.",
        choose="0 for a steady load; more where refusals are expected.",
    )
    max_p95_ms: float | None = option(
        _MILLISECONDS, help="The limit of the 95th percentile of response times; more is exit code 1.", shown="no limit"
    )
    max_p99_ms: float | None = option(
        _MILLISECONDS,
        help="The limit of the 99th percentile of response times; more is exit code 1.",
        shown="no limit",
        choose="What users accept, measured on a machine that the load generator does not share.",
    )
