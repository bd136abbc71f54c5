"""The entries of ONNX files, read without a package, at every cut and with any byte changed."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from vaccel_common import onnxfile
from vaccel_common.modelfile import ModelFileError, program_kind, read_extras
from vaccel_common.onnxfile import OnnxFileError, is_onnx, read_entries
from vaccel_common.protowire import fields

SIGNATURE = {
    "format": 1,
    "name": "adds",
    "problem_type": "regression",
    "inputs": [{"name": "x", "dtype": "float32", "dims": ["n"]}],
    "outputs": [{"name": "y", "dtype": "float32", "dims": ["n"]}],
    "batch": "n",
}
EXTRAS = {
    "tokenizer.json": '{"model": "茶"}',
    "labels.json": '["tea", "cake"]',
    "signature.json": json.dumps(SIGNATURE),
    "variant.json": json.dumps({"of": 64 * "a", "precision": "int8"}),
}


def model(**entries: str) -> onnx.ModelProto:
    """x + x, with entries beside it."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "g", [x], [y])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    helper.set_model_props(made, entries)
    return made


WHOLE = model(**EXTRAS, author="us").SerializeToString()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file for hypothesis' many examples."""
    return tmp_path_factory.mktemp("onnx") / "model.onnx"


def test_the_extras_of_an_onnx_file(path: Path) -> None:
    """They are those of an archive with the same entries; other metadata is left alone."""
    path.write_bytes(WHOLE)
    extras = read_extras(path)
    assert program_kind(path) == "onnx"
    assert extras.tokenizer == EXTRAS["tokenizer.json"].encode()
    assert extras.labels == ["tea", "cake"]
    assert extras.signature is not None
    assert (extras.signature.name, extras.signature.batch) == ("adds", "n")
    assert extras.variant is not None
    assert (extras.variant.of, extras.variant.precision) == (64 * "a", "int8")
    assert extras.model is None


def test_a_model_without_entries_has_no_extras(path: Path) -> None:
    """Others' files have none of ours."""
    path.write_bytes(model(author="us").SerializeToString())
    assert read_extras(path).signature is None
    assert is_onnx(path)


def test_weights_are_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file that is all weights only the heads of its fields are read, and the entries."""
    heavy = model(**EXTRAS)
    heavy.graph.initializer.append(helper.make_tensor("w", TensorProto.UINT8, [1 << 22], bytes(1 << 22), raw=True))
    path.write_bytes(heavy.SerializeToString())
    pread, count = os.pread, [0]

    def counted(descriptor: int, size: int, offset: int) -> bytes:
        data = pread(descriptor, size, offset)
        count[0] += len(data)
        return data

    monkeypatch.setattr(os, "pread", counted)
    assert read_extras(path).labels == ["tea", "cake"]
    assert count[0] < 4096


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it has no ir_version and no graph and no opset_import"),
        (b"hello, world", "wire type"),
        (b"\x00" * 64, "field number 0"),
        (WHOLE[: len(WHOLE) // 2], "ends at byte"),
        (b"\x08\x07" + b"\x3a\x00", "it has no opset_import"),
        (b"\x38\x01" + WHOLE, "field 7 has wire type 0"),
        (b"\x52\x00" * onnxfile.MAX_FIELDS + WHOLE, "more than 65536 outermost fields"),
        # The number 7 to a parser that keeps 32 bits of it.
        (b"\xba\x80\x80\x80\x10\x00" + WHOLE, "field number 536870919"),
        (WHOLE + model(**{"labels.json": "[]"}).SerializeToString(), "the entry labels.json is there twice"),
        (WHOLE + b"\x72\x02\x0a\x05", "an entry of metadata_props: field 1 ends at byte 7 of 2"),
    ],
)
def test_what_is_not_onnx_is_refused_in_one_line(data: bytes, says: str, path: Path) -> None:
    """The message names the file, the forms that would be right, and the fault."""
    path.write_bytes(data)
    with pytest.raises(ModelFileError) as caught:
        read_extras(path)
    assert str(caught.value).startswith(
        f"{path} is not a model file: neither TorchScript, .pt2, ONNX nor a tokenizer file: as ONNX, "
    )
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["texts.txt", "model.pt"])
def test_a_file_that_should_not_be_onnx_is_not_told_as_onnx(tmp_path: Path, name: str) -> None:
    """Fields and wire types say nothing to whoever gave a text file, or a broken TorchScript file."""
    path = tmp_path / name
    path.write_text("What a lovely day\n")
    with pytest.raises(ModelFileError) as caught:
        read_extras(path)
    assert str(caught.value) == f"{path} is not a model file: neither TorchScript, .pt2, ONNX nor a tokenizer file"


def test_the_last_accepted_number_of_fields(path: Path) -> None:
    """With one field less than the first refused number, a model is read."""
    count = len(list(fields(memoryview(WHOLE))))
    path.write_bytes(b"\x52\x00" * (onnxfile.MAX_FIELDS - count) + WHOLE)
    assert read_extras(path).labels == ["tea", "cake"]


@given(st.integers(0, len(WHOLE) - 1))
def test_a_cut_file_is_refused(scratch: Path, at: int) -> None:
    """At whichever byte the file ends, nothing else is raised; where it reads as a model, no entry is invented."""
    scratch.write_bytes(WHOLE[:at])
    try:
        entries = read_entries(scratch, EXTRAS)
    except OnnxFileError:
        return
    assert all(EXTRAS[name].encode() == value for name, value in entries.items())


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_changed_file_is_read_or_refused(scratch: Path, changes: list[tuple[int, int]]) -> None:
    """Whatever a few bytes become, the reader raises its own error or reads what protobuf reads."""
    data = bytearray(WHOLE)
    for at, byte in changes:
        data[at] = byte
    scratch.write_bytes(data)
    try:
        extras = read_entries(scratch, EXTRAS)
    except OnnxFileError:
        return
    try:
        parsed = onnx.ModelProto.FromString(bytes(data))
    except Exception:  # noqa: BLE001 protobuf checks what is inside other fields too
        return
    assert extras == {entry.key: _bytes(entry.value) for entry in parsed.metadata_props if entry.key in EXTRAS}


def _bytes(value: Any) -> bytes:
    """A string field, which protobuf gives as bytes where it is not UTF-8."""
    return value if isinstance(value, bytes) else str(value).encode()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(scratch: Path, data: bytes) -> None:
    """A file of any bytes raises `ModelFileError` and nothing else."""
    scratch.write_bytes(data)
    try:
        read_extras(scratch)
    except ModelFileError:
        assert program_kind(scratch) is None or is_onnx(scratch)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("labels.json", "[" * 100_000),
        ("variant.json", "[" * 100_000),
        ("signature.json", "[" * 100_000),
        ("signature.json", json.dumps(SIGNATURE | {"max_length": float("inf")})),
        ("signature.json", json.dumps(SIGNATURE | {"inputs": [{"name": ["x"], "dtype": "int64", "dims": ["n"]}]})),
        ("signature.json", json.dumps(SIGNATURE | {"inputs": [{"name": "x", "dtype": ["int64"], "dims": ["n"]}]})),
        ("signature.json", json.dumps(SIGNATURE | {"inputs": [{"name": "x", "dtype": "int64", "dims": [["n"]]}]})),
        ("signature.json", json.dumps(SIGNATURE | {"inputs": [{"name": "x", "dtype": "int64", "dims": [-1]}]})),
        ("signature.json", json.dumps(SIGNATURE | {"inputs": [{"name": "x", "dtype": "int64", "dims": [1.5]}]})),
        ("variant.json", json.dumps({"of": 64 * "a", "precision": "int8", "texts": float("inf")})),
    ],
)
def test_a_malformed_entry_is_refused(path: Path, entry: str, text: str) -> None:
    """A client's file decides what is in them: any JSON is read, or refused in one line."""
    path.write_bytes(model(**{entry: text}).SerializeToString())
    with pytest.raises(ModelFileError, match=rf"{re.escape(str(path))}: [^\n]+$"):
        read_extras(path)
