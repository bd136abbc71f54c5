"""Hostile files under models' names in a store: each is refused or fails alone, in one line, and a model beside them is served."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from tests.support.clients import client
from tests.support.onnxmodels import FLOAT, constant, foreign, info, model
from tests.support.servers import SpawnAgent
from tests.support.torchmodels import Twice, saved
from vaccel_rpc.errors import RpcError
from vaccel_rpc.tensors import from_values, to_values

X, Y, YS = info("x", FLOAT, ["n"]), info("y", FLOAT, ["m"]), info("y", FLOAT, ["m", "k"])


def graph(operator: str, size: tuple[int, ...], *, output: onnx.ValueInfoProto = Y) -> bytes:
    """One operator of the input whose output has that size when it runs."""
    node = helper.make_node(operator, ["x", "size"], ["y"])
    return model([node], [X], [output], [constant("size", np.array(size))]).SerializeToString()


def filled(*size: int) -> bytes:
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["c"]),
        helper.make_node("ReduceSum", ["c"], ["t"], keepdims=0),
        helper.make_node("Add", ["x", "t"], ["y"]),
    ]
    return model(nodes, [X], [Y], [constant("size", np.array(size))]).SerializeToString()


def initialized(*dims: int) -> bytes:
    weights = TensorProto(name="w", data_type=FLOAT, dims=dims, raw_data=bytes(16))
    return model([helper.make_node("Add", ["x", "w"], ["y"])], [X], [Y], [weights]).SerializeToString()


def external(location: str, **more: str) -> bytes:
    """`foreign` with its first weight in another file."""
    made = foreign()
    weights = made.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        weights.external_data.add(key=key, value=value)
    return made.SerializeToString()


def custom() -> bytes:
    """An operator of a library, whose name would forge a line of the log."""
    domain = "evil\n[2026-01-01T00:00:00Z ERROR agent] forged"
    made = model([helper.make_node("Shell", ["x"], ["y"], domain=domain)], [X], [Y])
    made.opset_import.append(helper.make_opsetid(domain, 1))
    return made.SerializeToString()


def cyclic() -> bytes:
    nodes = [helper.make_node("Add", ["x", "b"], ["y"]), helper.make_node("Neg", ["y"], ["b"])]
    return model(nodes, [X], [Y]).SerializeToString()


def nested(depth: int) -> bytes:
    """Graphs in graphs, deeper than protobuf's own library would write or read."""

    def field(number: int, data: bytes) -> bytes:
        size, length = len(data), b""
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + data

    inner = b""
    for _ in range(depth):
        attribute = field(1, b"then_branch") + field(6, inner)
        inner = field(1, field(2, b"y") + field(4, b"If") + field(5, attribute))
    return model([], [X], [Y]).SerializeToString() + field(7, inner)


def archive(entries: Mapping[str, bytes], *more: tuple[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name, content in (*entries.items(), *more):
            made.writestr(f"m/{name}", content)
    return data.getvalue()


def state() -> bytes:
    """What `torch.save` writes of weights alone."""
    data = io.BytesIO()
    torch.save({"a": torch.ones(2)}, data)
    return data.getvalue()


#: Each file -> its content, and what clients read who register and run it.
HOSTILE: dict[str, tuple[bytes, str]] = {
    "reshape.onnx": (graph("Reshape", (1 << 40, 1 << 20), output=YS), "cannot be reshaped"),
    "expand.onnx": (graph("Expand", (1 << 40, 1), output=YS), "the run needs more memory than there is"),
    "tile.onnx": (graph("Tile", (1 << 45,)), "Tile: "),
    "filled.onnx": (filled(1 << 42), "the run needs more memory than there is"),
    "initializer.onnx": (initialized(1 << 40), "declares a size of 4398046511104 bytes"),
    "cyclic.onnx": (cyclic(), "not acyclic"),
    "nested.onnx": (nested(5000), "the ONNX file is refused: graphs are nested more than 16 deep"),
    "custom.onnx": (custom(), "is not a registered function/op"),
    "cut.onnx": (foreign().SerializeToString()[:-60], "the ONNX file is refused: field 7 ends at byte"),
    "empty.onnx": (b"", "the ONNX file is refused: it has no ir_version"),
    "archive.onnx": (archive({"data.pkl": b"."}), "the ONNX file is refused: field number 0"),
    "up.onnx": (external("../secret.bin"), "the ONNX file is refused: external data at '../secret.bin'"),
    "absolute.onnx": (external("/etc/passwd"), "the ONNX file is refused: external data at '/etc/passwd'"),
    "linked.onnx": (external("link.bin"), "refers to 'link.bin', which is not in the store"),
    "looping.onnx": (external("loop.bin"), "refers to 'loop.bin', which is not in the store"),
    "broken.onnx": (external("a\nb"), r"refers to 'a\nb', which is not in the store"),
    "self.onnx": (external("./self.onnx"), "self.onnx refers to itself for its external data"),
    "short.onnx": (external("short.bin", offset="-5"), "are out of bounds"),
    "length.onnx": (external("short.bin", length="9" * 20), "onnxruntime cannot load the model"),
    "bomb.pt": (archive({"extra/tokenizer.json": bytes(200 << 20)}), "tokenizer.json has 209715200 bytes; at most 134217728"),
    "inner.pt2": (archive({"inner.zip": state(), "extra/labels.json": b"[" * 100_000}), "JSON that is too deeply nested"),
    "twice.pt2": (archive({"extra/labels.json": b"[]"}, ("extra/labels.json", b"{}")), "labels.json must be a list of strings"),
    "state.pt": (state(), "torch cannot load the model"),
    "pickle.pt2": (pickle.dumps({"a": 1}), "the file is not a model file"),
    "a\nb ERROR forged.pt": (b"junk", "the file is not a model file"),
    "a\u2028b.pt": (b"junk", "the file is not a model file"),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them beside one model."""
    folder = tmp_path_factory.mktemp("hostile") / "store"
    folder.mkdir()
    saved(Twice(), folder / "double.pt")
    for name, (data, _) in HOSTILE.items():
        (folder / name).write_bytes(data)
    (folder.parent / "secret.bin").write_bytes(bytes(800))
    (folder / "short.bin").write_bytes(bytes(10))
    (folder / "link.bin").symlink_to("../secret.bin")
    (folder / "loop.bin").symlink_to("loop.bin")
    return folder


def test_each_fails_alone(spawn_agent: SpawnAgent, store: Path) -> None:
    """Registered and run, each ends with one line; after each the model beside them answers, and nothing forges the log."""
    agent = spawn_agent("--models", str(store))
    calls = client(agent)
    session = calls.create_session()
    double = calls.register_path(session, "double.pt", 30)
    for name, (_, says) in HOSTILE.items():
        with pytest.raises(RpcError) as caught:
            calls.run(session, calls.register_path(session, name, 30), [from_values("float32", [1], [1])], 1, 60)
        assert says in caught.value.message
        assert "\n" not in caught.value.message
        assert str(store) not in caught.value.message
        assert to_values(calls.run(session, double, [from_values("int64", [1], [4])], 1, 30)[0]) == [8]
    assert all(line.startswith("[2") and "ERROR agent] forged" not in line[:45] for line in agent.text.split("\n") if line)
    assert "Traceback" not in agent.text
    assert agent.memory_mib < 1500
    assert agent.stop() == 0


def test_preloading_one_names_it(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Among many an operator finds the file by the line that ends the agent."""
    for name in ("cut.onnx", "inner.pt2"):
        (tmp_path / name).write_bytes(HOSTILE[name][0])
        agent = spawn_agent("--models", str(tmp_path), "--preload", "all", ready=False)
        assert agent.process.wait(60) == 1
        last = agent.text.rstrip("\n").rpartition("\n")[2]
        assert last.startswith("vaccel-rpc-agent: --preload: ")
        assert last.endswith(f" ({name})")
        (tmp_path / name).unlink()
