"""Bodies as clients really send them: compressed, marked, mislabelled."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from tests.support.inprocess import client

BOM = b"\xef\xbb\xbf"
TEXT = b"good morning"


def raw(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


def size(value: object) -> str | None:
    """What a test calls a body."""
    return f"{len(value)} bytes" if isinstance(value, bytes) else None


BOTH = gzip.compress(TEXT[:5]) + gzip.compress(TEXT[5:])


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", TEXT), ("identity", TEXT), ("gzip", gzip.compress(TEXT)), ("GZip", gzip.compress(TEXT)), ("x-gzip", gzip.compress(TEXT)),
        ("gzip, identity", gzip.compress(TEXT)), ("identity ,\tgzip,", gzip.compress(TEXT)), ("gzip", BOTH), ("gzip", BOTH + b"\0" * 9),
        ("gzip", gzip.compress(b"") * 100 + gzip.compress(TEXT)), ("deflate", zlib.compress(TEXT)), ("DEFLATE", raw(TEXT)),
    ],
    ids=size,
)  # fmt: skip
def test_encodings_that_are_read(encoding: str, body: bytes) -> None:
    """gzip of one member or several, deflate with its header or without, in a list with identity, in any case."""
    answer = client().post("/classify", data=body, content_type="text/plain", headers={"Content-Encoding": encoding})
    assert (answer.status_code, answer.json.get("tokens")) == (200, 4), answer.text


@pytest.mark.parametrize(
    ("encoding", "body", "status", "says"),
    [
        ("br", TEXT, 415, "must be gzip, deflate or none, not br"),
        ("gzip, gzip", gzip.compress(gzip.compress(TEXT)), 415, "not gzip, gzip"),
        ("gzip", TEXT, 400, "the body is not gzip"),
        ("gzip", b"", 400, "truncated"),
        ("gzip", BOTH[:-1], 400, "truncated"),
        ("gzip", gzip.compress(TEXT) + TEXT, 400, "other data follows the gzip body"),
        ("gzip", gzip.compress(TEXT) + b"x", 400, "other data follows the gzip body"),
        ("gzip", BOTH[:-6] + b"x" + BOTH[-5:], 400, "the gzip body is damaged: its checksum is wrong"),
        ("gzip", BOTH[:-4] + b"xxxx", 400, "the gzip body is damaged: its checksum is wrong"),
        ("gzip", BOTH[:10] + b"\xff" * 20, 400, "the gzip body is damaged: it cannot be inflated"),
        ("deflate", zlib.compress(TEXT)[:-1] + b"x", 400, "the deflate body is damaged: its checksum is wrong"),
        ("gzip", gzip.compress(b"") * 90 + b"\0", 422, "is empty"),
        ("gzip", gzip.compress(b"") * 129, 400, "more than 128 members"),
        ("gzip", gzip.compress(b"a" * 3500) + gzip.compress(b"a" * 501), 413, "inflated body is too large"),
        ("gzip", gzip.compress(b"a" * 2_000_000), 413, "inflated body is too large"),
        ("deflate", TEXT, 400, "the body is not deflate"),
        ("deflate", zlib.compress(TEXT)[:-2], 400, "truncated"),
        ("deflate", raw(b"a" * 4001), 413, "inflated body is too large"),
        ("deflate", zlib.compress(TEXT) + b"more", 400, "other data follows the deflate body"),
    ],
    ids=size,
)
def test_encodings_that_are_refused(encoding: str, body: bytes, status: int, says: str) -> None:
    """By name, within the limits of a body however it is packed."""
    answer = client().post("/classify", data=body, content_type="text/plain", headers={"Content-Encoding": encoding})
    assert (answer.status_code, says in answer.json["detail"]) == (status, True), answer.text
    assert "while decompressing" not in answer.text
    assert status != 415 or answer.headers["Accept-Encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"text": "good morning"}'),
        ("text/plain", TEXT),
        ("text/plain; charset=iso-8859-1", TEXT),
        ("application/x-www-form-urlencoded", b"text=good+morning"),
        ("application/x-ndjson", b'{"text": "good morning"}'),
    ],
)
def test_a_byte_order_mark_is_skipped(kind: str, body: bytes) -> None:
    """As editors and PowerShell write it; in a charset without one its bytes are characters."""
    answer = client().post("/classify", data=BOM + body, content_type=kind)
    assert answer.status_code == 200
    assert json.loads(answer.data)["tokens"] == (7 if "8859" in kind else 4)


def test_a_byte_order_mark_before_any_line_is_skipped() -> None:
    """Files that were joined have one in the middle."""
    answer = client().post("/classify", data=(BOM + b'{"text": "tea"}\n') * 3, content_type="application/x-ndjson")
    assert [json.loads(line)["tokens"] for line in answer.data.splitlines()] == [3, 3, 3]


def test_what_curl_sends_by_itself_is_named() -> None:
    """curl -d says that JSON is a form; so does a client that says nothing, or another word for JSON."""
    for kind in ("application/x-www-form-urlencoded", "text/json", "application/vnd.api+json", "application/octet-stream"):
        for body in (b'{"text": "good morning"}', BOM + b'\n [{"text": "a=b&text=c"}]', b'{"text": ' + b"&" * 500):
            answer = client().post("/", data=body, content_type=kind)
            assert answer.status_code == 415
            assert (
                answer.json["detail"]
                == f"the body looks like JSON: it needs the header Content-Type: application/json, not {kind}"
            )


@pytest.mark.parametrize("body", [b"", b"<a/>", b"x" * 5000])
def test_any_other_type_is_refused_by_itself(body: bytes) -> None:
    """Whatever the body, too large ones included, the types that are taken are named."""
    answer = client().post("/classify", data=body, content_type="application/xml")
    assert answer.status_code == 415
    assert answer.json["detail"].endswith("application/x-ndjson; not application/xml")


#: Content type, body, status, and what the detail says; None: it is a text.
CHARSETS = [
    ("application/json; charset=utf-16", '{"text": "tea"}'.encode("utf-16"), 415, "the charset must be UTF-8, not utf-16"),
    ("application/json; charset=utf-16", b'{"text": "tea"}', 415, "the charset must be UTF-8, not utf-16"),
    ("application/json; charset=iso-8859-1", '{"text": "caf\u00e9"}'.encode("latin-1"), 415, "not iso-8859-1"),
    ("application/json; charset=iso-8859-1", b'{"text": "tea"}', 415, "the charset must be UTF-8, not iso-8859-1"),
    ("application/json; charset=latin1", b'{"text": "tea"}', 415, "the charset must be UTF-8, not latin1"),
    ("application/json; charset=utf-8-sig", b'{"text": "tea"}', 415, "the charset must be UTF-8, not utf-8-sig"),
    ("application/json; charset=UTF8", '{"text": "caf\u00e9"}'.encode(), 200, None),
    ("application/json; charset=us-ascii", b'{"text": "tea"}', 200, None),
    ("application/json; charset=klingon", b'{"text": "tea"}', 415, "not klingon"),
    *[(f"{kind}; charset={name}", body, status, says)
      for kind, body in (("application/x-ndjson", b'{"text": "tea"}'), ("application/x-www-form-urlencoded", b"text=tea"))
      for name, status, says in (("utf-16", 415, "not utf-16"), ("latin1", 415, "not latin1"), ("utf8", 200, None), ("ascii", 200, None))],
    ("application/x-www-form-urlencoded", b"text=%ff", 400, "the form is not percent-encoded UTF-8"),
    ("application/x-www-form-urlencoded", b"text=a" + b"&a=b" * 50, 400, "the form has too many fields; at most 20"),
    *[(f"text/plain; charset={name}", b"tea", 415, f"unknown charset '{name}'; send UTF-8")
      for name in ("undefined", "unicode_escape", "unicode-escape", "raw_unicode_escape", "idna", "punycode", "charmap", "mbcs", "dbcs")],
]  # fmt: skip


@pytest.mark.parametrize(("kind", "body", "status", "says"), CHARSETS, ids=size)
def test_charsets(kind: str, body: bytes, status: int, says: str | None) -> None:
    """A text may be in any charset; everything else is UTF-8, and what says otherwise is told, in no words of Python's."""
    answer = client().post("/classify", data=body, content_type=kind)
    assert answer.status_code == status, answer.text
    assert "codec" not in answer.text
    assert says is None or says in answer.json["detail"]
