"""What is found in an ONNX file without loading it."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from agent.engines.onnx import graph
from agent.engines.onnx.graph import Survey, external_files, survey
from vaccel_common.onnxfile import OnnxFileError


def tensor(location: str) -> onnx.TensorProto:
    """A tensor whose data is in another file."""
    made = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    made.external_data.add(key="location", value=location)
    made.external_data.add(key="offset", value="0")
    return made


def inside(depth: int, within: onnx.GraphProto) -> onnx.GraphProto:
    """A graph, ``depth`` graphs deep in others."""
    for _ in range(depth):
        node = helper.make_node("If", ["c"], ["y"], then_branch=within, else_branch=onnx.GraphProto())
        within = onnx.GraphProto(node=[node])
    return within


def write(path: Path, whole: onnx.GraphProto, **more: object) -> Path:
    """A model's file, which need not be valid."""
    path.write_bytes(helper.make_model(whole, **more).SerializeToString())
    return path


def places() -> dict[str, onnx.ModelProto]:
    """A tensor with external data in every place of a model that may hold a tensor."""
    held = tensor("weights.bin")
    node = onnx.NodeProto(op_type="Constant")
    node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR, t=held)
    several = onnx.NodeProto(op_type="X", domain="ours")
    several.attribute.add(name="values", type=onnx.AttributeProto.TENSORS, tensors=[held])
    sparse = onnx.SparseTensorProto(values=held)
    graphs = {
        "initializer": onnx.GraphProto(initializer=[held]),
        "sparse initializer": onnx.GraphProto(sparse_initializer=[sparse]),
        "attribute": onnx.GraphProto(node=[node]),
        "attribute of several": onnx.GraphProto(node=[several]),
        "subgraph": inside(3, onnx.GraphProto(initializer=[held])),
    }
    models = {place: helper.make_model(made) for place, made in graphs.items()}
    models["function"] = helper.make_model(onnx.GraphProto(), functions=[onnx.FunctionProto(name="F", node=[node])])
    models["training"] = helper.make_model(onnx.GraphProto())
    models["training"].training_info.add(algorithm=graphs["initializer"])
    return models


PLACES = places()


@pytest.mark.parametrize("place", PLACES)
def test_external_data_is_found_wherever_a_tensor_may_be(place: str, tmp_path: Path) -> None:
    """Each file is named once."""
    path = tmp_path / "m.onnx"
    path.write_bytes(PLACES[place].SerializeToString())
    assert survey(path).is_external
    assert external_files(path) == ("weights.bin",)


@pytest.mark.parametrize("name", ["w.bin", "./w.bin", "data/w.bin", "w..bin", "…", "w bin"])
def test_files_of_the_folder_may_hold_data(name: str, tmp_path: Path) -> None:
    """Also in a folder of it; the name is normalized."""
    path = write(tmp_path / "m.onnx", onnx.GraphProto(initializer=[tensor(name), tensor("z"), tensor(name)]))
    assert external_files(path) == tuple(sorted({name.removeprefix("./"), "z"}))


@pytest.mark.parametrize(
    "name", ["", ".", "/etc/passwd", "../w.bin", "data/../../w.bin", "..", "*/_ORT_MEM_ADDR_/*", "w\0", "..\\w.bin", "//x/w"]
)
def test_data_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    """Absolute paths, paths that go up, and onnxruntime's name for an address in memory."""
    path = write(tmp_path / "m.onnx", onnx.GraphProto(initializer=[tensor(name)]))
    with pytest.raises(OnnxFileError, match="a file of the model's own folder is expected"):
        external_files(path)


def test_operators_of_all_graphs_are_found(tmp_path: Path) -> None:
    """Those of subgraphs and functions too; of fields that are there twice, both."""
    double = onnx.NodeProto(op_type="Add").SerializeToString() + onnx.NodeProto(op_type="Loop", domain="x").SerializeToString()
    made = helper.make_model(inside(1, onnx.GraphProto(node=[onnx.NodeProto.FromString(double)])))
    made.functions.add(name="F", domain="ours").node.add(op_type="Scan")
    data = made.SerializeToString()
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    assert survey(path) == Survey(operators={("", "If"), ("x", "Loop"), ("", "Scan")}, nodes=3, functions=1)
    # Two graphs in one model are joined by protobuf; the node has its name twice.
    node = b"\x0a" + bytes([len(double)]) + double
    path.write_bytes(data + b"\x3a" + bytes([len(node)]) + node)
    assert survey(path).operators == {("", "If"), ("x", "Loop"), ("", "Scan"), ("x", "Add")}


def test_the_limits_at_their_edges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes, depth and fields: the last that is accepted and the first that is refused."""
    monkeypatch.setattr(graph, "MAX_NODES", 40)
    nodes = [onnx.NodeProto(op_type="Add")] * 41
    assert survey(write(tmp_path / "a.onnx", onnx.GraphProto(node=nodes[:40]))).nodes == 40
    with pytest.raises(OnnxFileError, match="more than 40 nodes"):
        survey(write(tmp_path / "b.onnx", onnx.GraphProto(node=nodes)))
    assert survey(write(tmp_path / "c.onnx", inside(graph.MAX_DEPTH - 1, onnx.GraphProto()))).nodes == graph.MAX_DEPTH - 1
    with pytest.raises(OnnxFileError, match="nested more than 16 deep"):
        survey(write(tmp_path / "d.onnx", inside(graph.MAX_DEPTH, onnx.GraphProto())))
    monkeypatch.setattr(graph, "MAX_FIELDS", 5)
    assert survey(write(tmp_path / "e.onnx", onnx.GraphProto(input=[onnx.ValueInfoProto()] * 5))).nodes == 0
    with pytest.raises(OnnxFileError, match="more than 5 fields"):
        survey(write(tmp_path / "f.onnx", onnx.GraphProto(input=[onnx.ValueInfoProto()] * 6)))


def test_large_tensors_are_not_read(tmp_path: Path) -> None:
    """A graph that is larger than what is read at once is visited in the file."""
    heavy = helper.make_tensor("h", TensorProto.UINT8, [1 << 20], bytes(1 << 20), raw=True)
    constant = helper.make_node("Constant", [], ["c"], value=heavy)
    path = write(tmp_path / "m.onnx", onnx.GraphProto(initializer=[heavy, tensor("w.bin")], node=[constant]))
    assert external_files(path) == ("w.bin",)
    assert survey(path).operators == {("", "Constant")}


WHOLE = PLACES["subgraph"].SerializeToString()


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=4), st.integers(0, len(WHOLE)))
def test_changed_and_cut_files_are_surveyed_or_refused(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], end: int
) -> None:
    """`OnnxFileError` is raised and nothing else."""
    data = bytearray(WHOLE)
    for at, byte in changes:
        data[at] = byte
    path = tmp_path_factory.getbasetemp() / "changed.onnx"
    path.write_bytes(data[:end] if not changes else data)
    try:
        external_files(path)
    except OnnxFileError:
        pass
