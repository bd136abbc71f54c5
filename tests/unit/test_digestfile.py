"""The file with a model's sha256 is sha256sum's, whatever the model's name is."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from agent.store.several import content_digest
from export.outputs import drafts, place, write_digest
from vaccel_common.digestfile import beside, digest_beside

NAMES = ["plain.pt", "a b\nü.onnx", "back\\slash.pt", "r\rn.pt2", "\\n.pt", os.fsdecode(b"\xff.pt")]


def _sha256sum(*options: str, folder: Path) -> bytes:
    return subprocess.run(["sha256sum", *options], cwd=folder, capture_output=True, check=True).stdout


@pytest.mark.parametrize("name", NAMES)
def test_sha256sum_writes_the_same_and_checks_it(tmp_path: Path, name: str) -> None:
    """What an export moves to its place as what a tool writes beside a file; readers take the digest of it."""
    path = tmp_path / name
    with drafts(path) as folder:
        (folder / "draft").write_bytes(b"model")
        digest = place(folder / "draft", path)
    line = beside(path).read_bytes()
    assert line == _sha256sum(name, folder=tmp_path)
    _sha256sum("--check", "--strict", beside(path).name, folder=tmp_path)
    assert digest_beside(path) == digest == hashlib.sha256(b"model").hexdigest()
    beside(path).unlink()
    assert write_digest(path) == digest
    assert beside(path).read_bytes() == line


def test_the_content_of_several_files_is_what_sha256sum_prints_of_them(tmp_path: Path) -> None:
    """In the order of their names, after the model's own with none."""
    names = sorted(NAMES[:-1])
    for name in names:
        (tmp_path / name).write_text(name, newline="")
    digests = {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in names}
    printed = f"{'0' * 64}  \n".encode() + _sha256sum(*names, folder=tmp_path)
    assert content_digest("0" * 64, digests) == hashlib.sha256(printed).hexdigest()
