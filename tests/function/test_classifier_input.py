"""Every form of the classifier's input, from a file and from standard input, as a process against an agent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from function.cli.lines import InputForm
from function.cli.pairs import fitting
from function.core.texts import Pair, Text
from tests.support.classifier import run
from tests.support.paths import TWEETS
from tests.support.servers import ServerProcess
from tests.support.smallmodel import write_small_model
from vaccel_common.modelfile import Pairs

ROWS = [("the tea was cold", "we were late"), ('good "again", 茶', "not bad")]
CSV = 'b,a\nwe were late,the tea was cold\nnot bad,"good ""again"", 茶"\n'
TSV = 'a\tb\nthe tea was cold\twe were late\ngood "again", 茶\tnot bad\n'
JSONL = "".join(json.dumps({"text": first, "text_pair": second}) + "\n" for first, second in ROWS)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of pairs."""
    return write_small_model(tmp_path_factory.mktemp("model") / "pairs.pt", "required")


@pytest.mark.parametrize(
    ("form", "data", "columns"),
    [
        ("csv", CSV, ("--column", "a", "--pair-column", "b")),
        ("tsv", TSV, ("--column", "a", "--pair-column", "b")),
        ("jsonl", JSONL, ()),
    ],
)
def test_pairs_from_a_file_and_from_standard_input(
    agent: ServerProcess, model: Path, tmp_path: Path, form: str, data: str, columns: tuple[str, ...]
) -> None:
    """The same answers, which are of both texts of each pair."""
    path = tmp_path / f"rows.{form}"
    path.write_text(data, encoding="utf-8")
    options = ("-m", str(model), "--format", "jsonl", *columns)
    answers = [
        run(agent, *options, "-f", str(path)),
        run(agent, *options, "-f", "-", "--input", form, stdin=data),
    ]
    for answer in answers:
        assert answer.returncode == 0, answer.stderr
        lines = [json.loads(line) for line in answer.stdout.splitlines()]
        assert [(line["text"], line["text_pair"]) for line in lines] == ROWS
        assert all(sum(line["scores"].values()) == pytest.approx(1) for line in lines)


def test_a_text_alone_is_told_where_the_model_takes_pairs(agent: ServerProcess, model: Path) -> None:
    """With its line; what would be right is in it."""
    done = run(agent, "-m", str(model), "-f", "-", stdin="tea\n")
    assert done.returncode == 1
    assert done.stderr == (
        "vaccel-classifier: line 1: the text has no second one; this model takes pairs of texts: give a .csv or .tsv file and "
        '--pair-column, or a .jsonl file with {"text": "...", "text_pair": "..."} on each line\n'
    )


@pytest.mark.parametrize(
    ("text", "pairs", "form", "column", "says"),
    [
        ("a", "required", "csv", None, "this model takes pairs of texts: name the column of the second texts with --pair-column"),
        ("a", "required", "tsv", "b", "the text has no second one; this model takes pairs of texts: the column 'b' is empty"),
        (
            Pair("a", "b"),
            "refused",
            "csv",
            "b",
            "the column 'b' has a second text; this model takes single texts: leave out --pair-column",
        ),
        ("a", "required", "jsonl", None, None),
        ("a", "allowed", "lines", None, None),
        (Pair("a", "b"), "required", "csv", "b", None),
    ],
)
def test_what_a_model_does_not_take_is_told_in_options(
    text: Text, pairs: Pairs, form: InputForm, column: str | None, says: str | None
) -> None:
    """An option of the command, not a field of a request; of JSON lines the classifier's own message names the fields."""
    result = fitting(text, pairs, form, column)
    assert result == text if says is None else says in str(result)


@pytest.mark.parametrize(
    ("name", "data", "columns"),
    [
        ("rows.jsonl", '{"text": "tea", "text_pair": "cake"}\n\n\n"tea"\n', ()),
        ("rows.csv", 'a,b\n"tea\nand",cake\ntea,\n', ("--column", "a", "--pair-column", "b")),
    ],
)
def test_a_failed_text_is_told_by_the_line_of_the_file(
    agent: ServerProcess, model: Path, tmp_path: Path, name: str, data: str, columns: tuple[str, ...]
) -> None:
    """In the message, in JSON and in the guide's lines alike, whatever is between the texts."""
    path = tmp_path / name
    path.write_text(data)
    options = ("-m", str(model), "-f", str(path), *columns)
    assert "vaccel-classifier: line 4: " in run(agent, *options).stderr
    item = (*options, "--errors", "item")
    first = 2 if columns else 1
    assert [json.loads(line)["line"] for line in run(agent, *item, "--format", "jsonl").stdout.splitlines()] == [first, 4]
    assert [f"Line {number}: " in run(agent, *item).stdout for number in (first, 4)] == [True, True]


def test_a_text_without_a_token_has_a_prediction_here(agent: ServerProcess) -> None:
    """Where HTTP refuses it; so has one of more characters than a request may have."""
    texts = ["", " ", "\u200b", "tea " * 3000]
    stdin = "".join(json.dumps(text) + "\n" for text in texts)
    done = run(agent, "-m", str(TWEETS), "-f", "-", "--input", "jsonl", "--format", "jsonl", stdin=stdin)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert ([row["text"] for row in rows], [row["tokens"] for row in rows[:3]]) == (texts, [2, 2, 2])
    assert all("label" in row for row in rows)


@pytest.mark.parametrize(
    ("options", "stdin", "says"),
    [
        (("--column", "b"), "a\n", "--column b needs columns, and standard input is read as lines: give a .csv or .tsv file"),
        (("--pair-column", "b"), "a\n", "standard input is read as lines: give a .csv or .tsv file, or --input csv or tsv"),
        (("--input", "csv", "--column", "a"), 'a,b\n"x,y\n', "standard input, line 2: a quote is opened and never closed"),
        (("--input", "tsv", "--column", "c"), "a\tb\nx\ty\n", "standard input has no column 'c'; its first line names a, b"),
    ],
)
def test_input_that_cannot_be_read_is_one_line(
    agent: ServerProcess, model: Path, options: tuple[str, ...], stdin: str, says: str
) -> None:
    """With the place, and without a traceback."""
    done = run(agent, "-m", str(model), "-f", "-", "--errors", "item", *options, stdin=stdin)
    assert done.returncode == 1
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


BAD_LINES = '"fine"\n{bad\n"good"\n5\n{"text": NaN}\n"last"\n'


@pytest.mark.parametrize("batch", ["1", "2", "64"])
def test_a_bad_line_of_json_is_the_error_of_its_text(agent: ServerProcess, tmp_path: Path, batch: str) -> None:
    """With --errors item the other lines are answered, whatever is sent together."""
    path = tmp_path / "rows.jsonl"
    path.write_text(BAD_LINES)
    options = ("-m", str(TWEETS), "--format", "jsonl", "--batch", batch)
    done = run(agent, *options, "-f", str(path), "--errors", "item")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["line"], row.get("error", {}).get("status"), row.get("text")) for row in rows] == [
        (1, None, "fine"), (2, 422, None), (3, None, "good"), (4, 422, None), (5, 422, None), (6, None, "last"),
    ]  # fmt: skip
    assert rows[1]["error"]["detail"].startswith("the line is not valid JSON: ")
    assert rows[3]["error"]["detail"].startswith("a text is a string, and a line is one, or ")
    assert rows[4]["error"]["detail"] == '"text" is NaN, which is not valid JSON'


@pytest.mark.parametrize("piped", [False, True])
def test_a_bad_line_of_json_ends_the_work_after_those_before(agent: ServerProcess, tmp_path: Path, piped: bool) -> None:
    """As any other line without a prediction does: the results before it are printed, and one line has its number."""
    path = tmp_path / "rows.jsonl"
    path.write_text(BAD_LINES)
    source = ("-f", "-", "--input", "jsonl") if piped else ("-f", str(path))
    done = run(agent, "-m", str(TWEETS), "--batch", "64", *source, stdin=BAD_LINES if piped else None)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("vaccel-classifier: line 2: the line is not valid JSON: ")
    assert [line.partition(":")[0] for line in done.stdout.splitlines() if line.startswith("Line ")] == ["Line 1"]
