"""The options of ``vaccel-classifier``, each declared once; a request's own are in `function.core.options`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from function.cli.lines import DEFAULT_COLUMN, InputForm
from function.cli.vaccellog import LEVEL
from function.config import AGENTS, AGENTS_VARIABLES, DEFAULT_AGENTS, DIALECT, DIALECT_CHOOSE, DIALECT_HELP, DIALECT_VARIABLES
from vaccel_common.kinds import Choice, FileName, Flag, Parsed, PathTo, Text, not_empty
from vaccel_common.number_kinds import Integer, seconds
from vaccel_common.options import option, required
from vaccel_rpc.negotiation import DialectChoice
from vaccel_rpc.pool.targets import Target

OutputFormat = Literal["text", "jsonl"]

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*(?=://)")


def _local(text: str) -> Path:
    """The path of a local file, also after vAccel's prefix ``file://``. Raises ``ValueError`` for another prefix, and for no path."""
    scheme = _SCHEME.match(text)
    if scheme and scheme[0] != "file":
        raise ValueError(f"{scheme[0]}:// is not downloaded; the path of a local file is needed, with or without file://")
    return Path(not_empty(text.removeprefix("file://")))


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """What is classified, by which model, and how the results are written; times in seconds."""

    model: Path = required(
        Parsed(_local, "PATH", "a path"),
        flags=("-m", "--model"),
        help="The model file (.pt, .pt2, .onnx), or its tokenizer file.",
    )
    vocab: Path | None = option(PathTo(), flags=("-v", "--vocab"), help="A BERT vocabulary, for a model without a tokenizer.")
    source: str = required(
        FileName(), flags=("-f", "--file"),
        help="The texts: a file with one on each line, a .csv, .tsv or .jsonl, or - for standard input.",
    )  # fmt: skip
    input: InputForm | None = option(
        Choice[InputForm](("lines", "csv", "tsv", "jsonl")), shown="by the file's suffix; lines for standard input",
        help="How the texts are written: one on each line, columns under a header, or a string or an object with text and "
        "text_pair in JSON on each line.",
    )  # fmt: skip
    column: str | None = option(Text("NAME"), shown=DEFAULT_COLUMN, help="The column of a CSV or TSV that has the texts.")
    pair_column: str | None = option(
        Text("NAME"), help="The column of a CSV or TSV that has the second text of each pair.",
        choose="Use it for a model of pairs of texts, such as a cross-encoder.",
    )  # fmt: skip
    batch: int = option(
        Integer(1, 1024),
        1,
        help="Texts sent together.",
        choose="More texts in a batch take less time in all; 1 shows the time of each text.",
    )
    jobs: int = option(Integer(1, 64), 1, help="Batches in flight at the same time.")
    form: OutputFormat = option(
        Choice[OutputFormat](("text", "jsonl")), "text", flags=("--format",), help="The deployment guide's lines, or JSON lines."
    )
    agents: tuple[Target, ...] = option(
        AGENTS, DEFAULT_AGENTS, flags=("--address",), variables=AGENTS_VARIABLES,
        help="The agents' addresses, separated by commas; a name with several records is several agents.",
    )  # fmt: skip
    dialect: DialectChoice = option(DIALECT, "auto", variables=DIALECT_VARIABLES, help=DIALECT_HELP, choose=DIALECT_CHOOSE)
    wait: float = option(
        seconds(minimum=0), 0.0, help="Seconds to wait for an agent that does not listen yet.",
        choose="Use it where both start together, as in a Job with a sidecar.",
    )  # fmt: skip
    log_level: int = option(
        LEVEL, 1, variables=("VACCEL_LOG_LEVEL",),
        help="What is logged: 0 nothing, 1 errors, 2 also warnings, 3 also events, 4 all; or none, error, warn, info, debug.",
        choose="3 names the agent, its dialect, and how the model got there.",
    )  # fmt: skip
    log_file: str | None = option(
        FileName("NAME"), variables=("VACCEL_LOG_FILE",), shown="standard error",
        help="Log to the end of NAME-YYYY-MM-DD.log, or to /dev/stdout or /dev/stderr.",
    )  # fmt: skip
    profiling: bool = option(
        Flag(), default=False, variables=("VACCEL_PROFILING_ENABLED",),
        help="Log at the end, at any level, how long the parts of the work took, here and at the agent.",
    )  # fmt: skip
