"""Archives of model files: what is read of them, and what is refused though the archive is small."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from vaccel_common import archivefile
from vaccel_common.archivefile import ArchiveFileError, read_entries
from vaccel_common.modelfile import ModelFileError, read_extras


def test_entries_are_found_where_torch_puts_them(tmp_path: Path) -> None:
    """At the top, or in a folder ``extra`` of the program's; an entry elsewhere is another one."""
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("m/extra/labels.json", "[]")
        archive.writestr("model.json", "{}")
        archive.writestr("m/code/variant.json", "no")
    names = ("labels.json", "model.json", "variant.json")
    assert read_entries(tmp_path / "m.pt", names) == {"labels.json": b"[]", "model.json": b"{}"}


def test_an_entry_that_unpacks_to_much_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for what is unpacked; an entry of exactly that size is read."""
    monkeypatch.setattr(archivefile, "MAX_ENTRY", 1000)
    for size in (1000, 1001):
        with zipfile.ZipFile(tmp_path / f"{size}.pt", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("tokenizer.json", b"0" * size)
    assert read_entries(tmp_path / "1000.pt", ["tokenizer.json"])["tokenizer.json"] == b"0" * 1000
    with pytest.raises(ModelFileError, match=r"tokenizer.json has 1001 bytes; at most 1000 are read"):
        read_extras(tmp_path / "1001.pt")


@pytest.mark.parametrize("damage", ["encrypted", "packed otherwise", "cut", "other bytes"])
def test_what_cannot_be_unpacked_is_one_error(tmp_path: Path, damage: str) -> None:
    """Whatever the library raises for it."""
    path = tmp_path / "m.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.json", b"[" + b"1, " * 500 + b"1]")
    data = bytearray(path.read_bytes())
    central = data.rindex(b"PK\x01\x02")
    if damage == "encrypted":
        data[6] |= 1
        data[central + 8] |= 1
    elif damage == "packed otherwise":
        data[central + 10] = data[8] = 99
    elif damage == "cut":
        del data[50:60]
    else:
        data[45:55] = bytes(10)
    path.write_bytes(data)
    with pytest.raises(ArchiveFileError):
        read_entries(path, ["labels.json"])
