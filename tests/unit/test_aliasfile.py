"""The file of aliases: what it may say, what is wrong with it, and when it is read again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agent.store import aliasfile
from agent.store.aliasfile import MAX_ALIASES, MAX_SIZE, AliasFile, AliasFileError, AliasSpec, ShareSpec, parse_aliases

A, B = "a" * 64, "b" * 64
SHA_A, SHA_B = f"sha256:{A}", f"sha256:{B}"


def test_an_alias_is_a_digest_or_says_more() -> None:
    """A digest alone, or a model with a canary and a shadow; each model counts once."""
    specs = parse_aliases(
        json.dumps(
            {
                "tweets": SHA_A,
                "v1.0_x-y": {"model": SHA_A},
                "reviews": {
                    "model": SHA_A,
                    "canary": {"model": SHA_B, "percent": 10},
                    "shadow": {"model": SHA_B, "percent": 0.5},
                },
            }
        ).encode()
    )
    assert specs["tweets"] == specs["v1.0_x-y"] == AliasSpec(A)
    assert specs["reviews"] == AliasSpec(A, ShareSpec(B, 10.0), ShareSpec(B, 0.5))
    assert specs["reviews"].digests == [A, B]
    assert parse_aliases(b"{}") == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "it is not valid JSON"),
        ("[" * 100_000, "it is not valid JSON"),
        ("[]", "it must be an object of aliases"),
        (f'{{"a": "{SHA_A}", "a": "{SHA_B}"}}', "'a' is there twice"),
        ({"a b": SHA_A}, "an alias is named 'a b': up to 63 letters"),
        ({"\x1b[31m": SHA_A}, r"an alias is named '\\x1b\[31m'"),
        ({"x" * 64: SHA_A}, "up to 63 letters"),
        ({"": SHA_A}, "an alias is named ''"),
        ({"a": "next"}, 'a must be the digest of a model, "sha256:" and 64 hexadecimal digits, not "next"'),
        ({"a": SHA_A.upper()}, "a must be the digest of a model"),
        ({"a": 7}, 'a must be "sha256:HEX", or an object with model, canary, shadow, not 7'),
        ({"a": None}, 'a must be "sha256:HEX", or an object'),
        ({"a": {"modle": SHA_A}}, "a has 'modle'; it may have model, canary, shadow; did you mean model?"),
        ({"a": {"model": SHA_A, "qqq": 1}}, r"a has 'qqq'; it may have model, canary, shadow$"),
        ({"a": {}}, 'a needs a model: "sha256:HEX"'),
        ({"a": {"model": SHA_A, "canary": SHA_B}}, "a.canary must be an object with model, percent"),
        ({"a": {"model": SHA_A, "canary": {"percent": 1}}}, "a.canary needs a model"),
        ({"a": {"model": SHA_A, "canary": {"model": SHA_B}}}, "a.canary.percent must be a number from 0 to 100$"),
        ({"a": {"model": SHA_A, "canary": {"model": SHA_B, "percent": True}}}, "from 0 to 100, not true"),
        ({"a": {"model": SHA_A, "canary": {"model": SHA_B, "percent": "10"}}}, 'from 0 to 100, not "10"'),
        ({"a": {"model": SHA_A, "canary": {"model": SHA_B, "percent": 100.1}}}, "from 0 to 100, not 100.1"),
        ({"a": {"model": SHA_A, "shadow": {"model": SHA_B, "percent": -1}}}, "a.shadow.percent must be a number"),
        ({"a": {"model": SHA_A, "shadow": {"model": SHA_B, "percent": float("nan")}}}, "not NaN"),
        ({"a": {"model": SHA_A, "shadow": {"model": SHA_B, "weight": 1}}}, "a.shadow has 'weight'; it may have model, percent"),
        ({f"a{i}": SHA_A for i in range(MAX_ALIASES + 1)}, f"it has {MAX_ALIASES + 1} aliases; at most {MAX_ALIASES}"),
    ],
)
def test_what_is_wrong_is_said(content: object, message: str) -> None:
    """Where it is, what is wrong, and what would be right; the nearest name for a misspelt one."""
    text = content if isinstance(content, str) else json.dumps(content)
    with pytest.raises(AliasFileError, match=message):
        parse_aliases(text.encode())


def test_the_limits_are_what_is_said() -> None:
    """So many aliases, and names of so many characters, are accepted."""
    assert len(parse_aliases(json.dumps({f"a{i}": SHA_A for i in range(MAX_ALIASES)}).encode())) == MAX_ALIASES
    assert parse_aliases(json.dumps({"x" * 63: SHA_A}).encode())


def test_a_file_is_read_when_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before it is there; again when it was replaced; and no more when it is old."""
    monkeypatch.setattr(aliasfile, "_SETTLED", 0.0)
    path = tmp_path / "aliases.json"
    file = AliasFile(path)
    assert file.read() is None
    path.write_text(json.dumps({"a": SHA_A}))
    os.utime(path, (1, 1))
    assert file.read() == {"a": AliasSpec(A)}
    assert file.read() is None
    path.write_text(json.dumps({"a": SHA_B}))
    assert file.read() == {"a": AliasSpec(B)}
    path.unlink()
    for _ in range(2):
        with pytest.raises(AliasFileError, match="it is gone; write"):
            file.read()


def test_a_file_that_was_just_written_is_read_again(tmp_path: Path) -> None:
    """It may be written once more within the resolution of its time, with the same length."""
    path = tmp_path / "aliases.json"
    file = AliasFile(path)
    path.write_text(json.dumps({"a": SHA_A}))
    assert file.read() == {"a": AliasSpec(A)}
    assert file.read() == {"a": AliasSpec(A)}


def test_a_config_map_swaps_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kubelet updates a volume: the file is a link through a link that is replaced."""
    monkeypatch.setattr(aliasfile, "_SETTLED", 0.0)
    for name, digest in (("..1", SHA_A), ("..2", SHA_B)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "aliases.json").write_text(json.dumps({"a": digest}))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "aliases.json").symlink_to("..data/aliases.json")
    file = AliasFile(tmp_path / "aliases.json")
    assert file.read() == {"a": AliasSpec(A)}
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    assert file.read() == {"a": AliasSpec(B)}


def test_what_is_no_small_regular_file_is_refused(tmp_path: Path) -> None:
    """A directory, a FIFO, which would block, and a byte too many."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for name in ("folder", "fifo"):
        with pytest.raises(AliasFileError, match="it is not a regular file"):
            AliasFile(tmp_path / name).read()
    path = tmp_path / "large"
    for size, fits in ((MAX_SIZE, True), (MAX_SIZE + 1, False)):
        path.write_text("{}".ljust(size))
        if fits:
            assert AliasFile(path).read() == {}
        else:
            with pytest.raises(AliasFileError, match=f"it has more than {MAX_SIZE} bytes, the limit"):
                AliasFile(path).read()
