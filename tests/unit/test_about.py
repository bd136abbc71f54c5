"""What a model's file says that the model is for: its bounds, and where the service shows it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from werkzeug.test import Client

from function.telemetry.access import Access
from function.web.app import create_app
from tests.support import inprocess
from vaccel_common.about import MAX_CHARS, About, parse_about, write_about
from vaccel_common.modelfile import ModelFileError, from_entries

#: What an author might write that a page or a viewer of the document must not take for markup.
MARKUP = "It sorts [tea](javascript:alert(1)) from <b>cake</b> & *scones*."


def answer(about: About, path: str) -> Any:
    """The JSON with which a service of a model with ``about`` answers."""
    service = dataclasses.replace(inprocess.service(), about=about)
    with Client(create_app(service, Access(service))).get(path, headers={"Accept": "application/json"}) as response:
        return response.get_json()


def test_what_is_written_is_what_is_read() -> None:
    """Both sentences, one, or none; a file without the entry states nothing."""
    for about in (About("It sorts tea.", "It has seen no coffee."), About(limits="None is known."), About()):
        assert parse_about(write_about(about)) == about
        assert from_entries({"about.json": write_about(about).encode()}).about == about
    assert from_entries({}).about == About()


def test_the_longest_sentence() -> None:
    """At the limit it is read, one character beyond it is not."""
    assert parse_about(write_about(About("é" * MAX_CHARS))).description == "é" * MAX_CHARS
    with pytest.raises(ValueError, match=f'"description": it has {MAX_CHARS + 1} characters; the limit is {MAX_CHARS}'):
        write_about(About("é" * (MAX_CHARS + 1)))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], '"format" must be 1'),
        ({"description": "It sorts tea."}, '"format" must be 1'),
        ({"format": 1, "description": 7}, '"description": 7 is not a string'),
        ({"format": 1, "limits": "one\ntwo"}, r'"limits": it has the character U\+000A; plain text of one line'),
        ({"format": 1, "limits": "\u202etea"}, r'"limits": it has the character U\+202E'),
        ({"format": 1, "limits": "\ud800"}, r'"limits": it has the character U\+D800'),
    ],
)
def test_a_wrong_entry_is_named(data: object, says: str) -> None:
    """The error of the file names the entry, the field and what would be right."""
    with pytest.raises(ModelFileError, match=f"about.json: {says}"):
        from_entries({"about.json": json.dumps(data).encode()})


@pytest.mark.parametrize("path", ["/", "/page/state"])
def test_the_service_says_it_of_its_model(path: str) -> None:
    """As it was written: the page puts it in as text. What the file does not state is absent."""
    model = answer(About(MARKUP, "It has seen no coffee."), path)["model"]
    assert (model["description"], model["limits"]) == (MARKUP, "It has seen no coffee.")
    assert answer(About(), path)["model"].keys() == {"name", "sha256"}


def test_the_document_says_it_without_markup() -> None:
    """A description of OpenAPI is CommonMark, where every character that could be markup is escaped."""
    stated = answer(About(MARKUP, "It has seen no coffee."), "/openapi.json")["info"]["description"]
    assert stated.endswith(r" It sorts \[tea\](javascript:alert(1)) from \<b\>cake\</b\> \& \*scones\*. It has seen no coffee.")
    assert answer(About(), "/openapi.json")["info"]["description"].endswith("Server-Timing.")
