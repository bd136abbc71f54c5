"""What a client sent reaches the log as data: it forges no line, no field, and no terminal obeys it."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.servers import ServerProcess
from vaccel_common import log
from vaccel_rpc.addresses import parse
from vaccel_rpc.channels import connect
from vaccel_rpc.client import VaccelClient

#: Any string, unpaired surrogates too, with a fair share of what ends lines or moves a terminal's cursor.
TEXT = st.text(st.one_of(st.characters(), st.sampled_from("\n\r\t\x00\x1b\x7f\x85\x9b\u2028\u2029\u202e\u2066\ud800\"\\=' [")))
#: What str.splitlines and terminals take for more than a character.
CATEGORIES = {"Cc", "Cf", "Zl", "Zp", "Cs"}
FORGED = "[2026-01-01T00:00:00Z INFO  function.access] method=GET path=/ status=200"


def record(message: str, *values: Any, error: BaseException | None = None, **extra: Any) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("function", logging.INFO, __file__, 1, message, values, info)
    record.__dict__.update(extra)
    return record


def line(kind: str, message: str, *values: Any, **extra: Any) -> str:
    return (log._TextFormatter() if kind == "text" else log._JsonFormatter()).format(record(message, *values, **extra))


def parsed(text: str) -> dict[str, str]:
    """A reader of logfmt: bare values and JSON strings, separated by single spaces, and nothing else."""
    pair = r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"=\\]+)'
    assert re.fullmatch(f"{pair}(?: {pair})*", text), text
    return {name: json.loads(value) if value.startswith('"') else value for name, value in re.findall(pair, text)}


def is_clean(text: str) -> bool:
    return not any(unicodedata.category(c) in CATEGORIES for c in text)


@given(TEXT)
def test_a_message_is_one_line_without_control_characters(text: str) -> None:
    """Whatever a message holds, text has one printable line for it; what is printable stays as it is."""
    written = line("text", "no model %s", text)
    assert is_clean(written)
    assert len(written.splitlines()) == 1
    assert written.endswith(f"no model {text}") or not text.isprintable()
    written.encode()


@given(TEXT)
def test_json_parses_back_to_the_value(text: str) -> None:
    """One ASCII line, and what a program reads from it is what was logged."""
    written = line("json", "no model %s", text)
    assert written.isascii()
    assert is_clean(written)
    assert json.loads(written)["message"] == f"no model {text}"


@given(TEXT, st.lists(TEXT, max_size=3), st.integers())
def test_fields_parse_back_to_their_values(path: str, texts: list[str], status: int) -> None:
    """A reader of logfmt finds the fields that were logged, each with its value, and no other."""
    written = log.fields({"path": path, "status": status, "input": texts})
    assert written.isascii()
    assert is_clean(written)
    fields = parsed(written)
    assert fields == {"path": path, "status": str(status), "input": fields["input"]}
    assert json.loads(fields["input"]) == texts


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("/classify", "/classify"),
        (200, "200"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "null"),
        ("", '""'),
        ("/a status=200", '"/a status=200"'),
        ("a=b", '"a=b"'),
        ('say "tea"', r'"say \"tea\""'),
        ("back\\slash", r'"back\\slash"'),
        ("caf\xe9", r'"caf\u00e9"'),
        ("\x1b[2J", r'"\u001b[2J"'),
        ("a\u2028b", r'"a\u2028b"'),
        (["tea", 'a" b=c'], r'"[\"tea\", \"a\\\" b=c\"]"'),
    ],
)
def test_a_field_is_quoted_where_it_could_be_misread(value: Any, written: str) -> None:
    """Plain values are bare; the others are JSON strings."""
    assert log.fields({"name": value}) == f"name={written}"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("caf\xe9 \u6771\u4eac", "caf\xe9 \u6771\u4eac"),
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("\x1b[31m\x07\x7f\x9b", r"\x1b[31m\x07\x7f\x9b"),
        ("a\x85b\u2028c\u2029d", r"a\x85b\u2028c\u2029d"),
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
        ("\ud800 \U000e0001", r"\ud800 \U000e0001"),
    ],
)
def test_a_message_keeps_what_is_printable(text: str, written: str) -> None:
    """Letters of any script stay; what moves a cursor or ends a line is written as its escape."""
    assert line("text", "%s", text).endswith(f"] {written}")


@pytest.mark.parametrize("kind", ["text", "json"])
def test_an_access_line_is_made_of_the_fields(kind: str) -> None:
    """A record that brings its parts is written from them, whatever its message says; a forged field stays a value."""
    fields = {"method": "GET", "path": "/a status=200\u2028\x1b[2J", "status": 404}
    written = line(kind, " ".join(f"{name}={value}" for name, value in fields.items()), fields=fields)
    values = json.loads(written) if kind == "json" else parsed(written.split("] ", 1)[1])
    assert (values["path"], str(values["status"])) == (fields["path"], "404")


def raised(message: str) -> Exception:
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


@given(TEXT)
def test_an_exception_cannot_forge_a_line(text: str) -> None:
    """A traceback keeps its lines, each indented and printable: none can be taken for the log's own."""
    first, *more = line("text", "failed", error=raised(f"{text}\n{FORGED}\r{FORGED}")).split("\n")
    assert first.endswith("] failed")
    assert more[0] == "    Traceback (most recent call last):"
    assert all(each.startswith("    ") and is_clean(each) for each in more)


def test_an_exception_is_a_field_of_json() -> None:
    """One line, with the message, or the record's parts, beside the traceback."""
    error = raised(f"tea\n{FORGED}")
    (written,) = line("json", "failed", error=error).splitlines()
    assert json.loads(written)["message"] == "failed"
    assert json.loads(written)["exception"].endswith(f"ValueError: tea\n{FORGED}")
    fields = json.loads(line("json", "", error=error, fields={"status": 500}))
    assert (fields["status"], fields["exception"][:9]) == (500, "Traceback")


def test_no_part_of_a_record_replaces_time_level_or_target() -> None:
    """A field of a record cannot hide when, how seriously and where it was logged."""
    fields = json.loads(line("json", "", fields={"level": "x", "target": "y", "time": "z", "path": "/"}))
    assert (fields["level"], fields["target"], fields["path"]) == ("info", "function", "/")
    assert fields["time"] != "z"


def test_lines_of_a_traced_request_carry_its_ids() -> None:
    """What the context holds is in every line, once: a field of the same name in the record stands."""
    token = log.context.set({"trace_id": "ab" * 16, "span_id": "cd" * 8})
    try:
        ids = f"trace_id={'ab' * 16} span_id={'cd' * 8}"
        assert line("text", "too late").endswith(f"] too late {ids}")
        assert line("text", "failed", error=raised("tea")).split("\n")[0].endswith(f"] failed {ids}")
        assert line("text", "", fields={"path": "/", "trace_id": "1"}).endswith(f"] path=/ trace_id=1 span_id={'cd' * 8}")
        assert json.loads(line("json", "too late"))["trace_id"] == "ab" * 16
        assert json.loads(line("json", "", fields={"trace_id": "1"}))["trace_id"] == "1"
    finally:
        log.context.reset(token)
    assert line("text", "later").endswith("] later")


def test_a_file_takes_any_text(tmp_path: Path) -> None:
    """The locale does not matter to it: a line of another script is written, in UTF-8."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        log.configure("text", "info", str(tmp_path / "log"))
        logging.getLogger("agent").info("model %s", "\u6771\u4eac\ud800")
    finally:
        root.handlers[0].close()
        root.handlers[:], root.level = before
    assert (tmp_path / "log").read_text("utf-8").endswith("] model \u6771\u4eac\\ud800\n")


def test_a_clients_words_are_escaped_in_the_agents_log(agent: ServerProcess, tmp_path: Path) -> None:
    """The name that a client gives to its model is logged on one line, escaped, so that no terminal interprets it."""
    from tests.support.torchmodels import Copies, saved

    caller = VaccelClient(connect(parse(agent.addresses["unix"]), 10))
    with contextlib.closing(caller):
        session = caller.create_session()
        name = f"tea\n{FORGED}\r\x1b[2J\u2028.pt".replace("/", "_")
        caller.load(session, caller.register_bytes(session, saved(Copies(), tmp_path / "echo.pt"), name))
    agent.wait_for(r"Loaded model tea\\n\[2026-01-01T00:00:00Z INFO  function.access\].*\\r\\x1b\[2J\\u2028")
    assert not re.search(r"^\[2026-01-01|[\x1b\r\u2028]", agent.text, re.MULTILINE)
