"""torch.export files (.pt2): what loading one by torch alone would run is refused before torch sees it."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from agent.engines.torch.engine import TorchEngine
from tests.support.clients import client
from tests.support.servers import SpawnAgent
from tests.support.torchmodels import MaskedSum, batchable_signature
from vaccel_rpc.errors import InvalidArgument, PermissionDenied
from vaccel_rpc.tensors import from_values, to_values

GRAPH, WEIGHTS, CONSTANTS = (
    "models/model.json",
    "data/weights/model_weights_config.json",
    "data/constants/model_constants_config.json",
)
SAMPLES = "data/sample_inputs/model.pt"


class Weighted(MaskedSum):
    """`MaskedSum` with one weight, which is 1."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(2))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = super().forward(ids, mask) * self.scale
        return out


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as torch writes it, with sizes that vary, a signature and a weight."""
    path = tmp_path_factory.mktemp("exports") / "good.pt2"
    ids, mask = (torch.ones((2, 3), dtype=torch.int64) for _ in range(2))
    dims = {0: torch.export.Dim("n"), 1: torch.export.Dim("t")}
    program = torch.export.export(Weighted(), (ids, mask), dynamic_shapes=(dims, dims))
    torch.export.save(program, path, extra_files={"signature.json": batchable_signature("good")})
    return path


class Touches:
    """Unpickled by `pickle`, it makes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[[Path], object], tuple[Path]]:
        return Path.touch, (self._path,)


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


Entries = dict[str, bytes]


def rewritten(good: Path, to: Path, change: Callable[[Entries], None], compression: int = zipfile.ZIP_STORED) -> Path:
    """The file with its entries changed."""
    with zipfile.ZipFile(good) as archive:
        entries = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(to, "w", compression) as archive:
        for name, data in entries.items():
            # The old format is read without a folder around its entries.
            archive.writestr(name if "version" in entries else f"model/{name}", data)
    return to


def edited(name: str, edit: Callable[[Any], object]) -> Callable[[Entries], None]:
    """A change of one JSON entry."""

    def change(entries: Entries) -> None:
        data = json.loads(entries[name])
        edit(data)
        entries[name] = json.dumps(data).encode()

    return change


def code(marker: Path) -> str:
    return f"__import__('pathlib').Path({str(marker)!r}).touch()"


def graph_of(data: Any) -> Any:
    return data["graph_module"]["graph"]


def renamed(data: Any, old: str, new: str) -> Any:
    """The same JSON with a name replaced wherever it occurs."""
    if isinstance(data, dict):
        return {renamed(key, old, new): renamed(value, old, new) for key, value in data.items()}
    if isinstance(data, list):
        return [renamed(value, old, new) for value in data]
    return new if data == old else data


def rename(old: str, new: str) -> Callable[[Entries], None]:
    def change(entries: Entries) -> None:
        for name in (GRAPH, WEIGHTS):
            entries[name] = json.dumps(renamed(json.loads(entries[name]), old, new)).encode()

    return change


def expression(text: str) -> Callable[[Entries], None]:
    """The first expression of a size."""

    def edit(data: Any) -> None:
        def first(value: Any) -> bool:
            if isinstance(value, dict) and "expr_str" in value:
                value["expr_str"] = text
                return True
            inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            return any(first(each) for each in inner)

        assert first(data)

    return edited(GRAPH, edit)


def pickled_weight(marker: Path) -> Callable[[Entries], None]:
    def change(entries: Entries) -> None:
        edited(WEIGHTS, lambda config: config["config"]["scale"].update(use_pickle=True))(entries)
        entries["data/weights/weight_0"] = saved(Touches(marker))

    return change


def object_constant(prefix: str, data: bytes) -> Callable[[Entries], None]:
    def change(entries: Entries) -> None:
        payload = {"path_name": f"{prefix}0", "is_param": False, "use_pickle": True, "tensor_meta": None}
        edited(CONSTANTS, lambda config: config["config"].update(evil=payload))(entries)
        entries[f"data/constants/{prefix}0"] = data

    return change


def old_format(marker: Path) -> Callable[[Entries], None]:
    """What torch wrote before 2.8, which it reads where the newer format fails."""

    def change(entries: Entries) -> None:
        graph = entries[GRAPH]
        entries.clear()
        entries["archive_format"] = b"pt2"
        entries["version"] = b"8.8"
        entries["serialized_exported_program.json"] = graph
        for name in ("state_dict", "constants", "example_inputs"):
            entries[f"serialized_{name}.pt"] = saved({"a": Touches(marker)})

    return change


ATTACKS: dict[str, tuple[Callable[[Path], Callable[[Entries], None]], str]] = {
    "sample inputs": (lambda marker: lambda entries: entries.update({SAMPLES: saved(((Touches(marker),), {}))}), "a pickle of more than"),
    "bare pickle as sample inputs": (
        lambda marker: lambda entries: entries.update({SAMPLES: pickle.dumps(((Touches(marker),), {}))}), "a pickle of more than",
    ),
    "weights in one pickle": (
        lambda marker: lambda entries: entries.update({"data/weights/model.pt": saved({"scale": Touches(marker)})}), "data/weights/model.pt",
    ),
    "constants in one pickle": (
        lambda marker: lambda entries: entries.update({"data/constants/model.pt": saved({"a": Touches(marker)})}), "data/constants/model.pt",
    ),
    "a pickled weight": (pickled_weight, "the pickle 'weight_0'"),
    "an opaque object": (lambda marker: object_constant("opaque_obj_", pickle.dumps(Touches(marker))), "opaque_obj_0"),
    "a custom object": (lambda marker: object_constant("custom_obj_", pickle.dumps(Touches(marker))), "custom_obj_0"),
    "a pickled constant": (lambda marker: object_constant("tensor_", saved(Touches(marker))), "the pickle 'tensor_0'"),
    "the old format": (old_format, "a damaged .pt2"),
    "a library": (lambda _: lambda entries: entries.update({"data/aotinductor/model/a.so": b"\x7fELF"}), "data/aotinductor"),
    "an expression": (lambda marker: expression(code(marker)), "the expression"),
    "a call": (
        lambda marker: edited(GRAPH, lambda data: graph_of(data)["nodes"].insert(0, {
            "target": "torch.serialization.os.mkdir", "outputs": [], "metadata": {},
            "inputs": [{"name": "path", "arg": {"as_string": str(marker)}, "kind": 1}],
        })),
        "a call of 'torch.serialization.os.mkdir'",
    ),
    "a call that uses files": (
        lambda _: edited(GRAPH, lambda data: graph_of(data)["nodes"][0].update(target="torch.ops.aten.from_file.default")), "uses files",
    ),
    "a call of what is no operator": (
        lambda _: edited(GRAPH, lambda data: graph_of(data)["nodes"][0].update(target="torch.ops.aten.add.__class__")), "a call of",
    ),
    "an attribute": (
        lambda _: edited(GRAPH, lambda data: graph_of(data)["nodes"][0].update(target="_operator.attrgetter")), "a call of",
    ),
    "an input's name": (lambda marker: rename("ids", f"ids, b={code(marker)}"), "the name"),
    "a weight's name": (lambda marker: rename("scale", f'scale") or {code(marker)} or getattr(self, "scale'), "the name"),
    "a container": (
        lambda _: edited(GRAPH, lambda data: data["graph_module"]["module_call_graph"][0]["signature"].update(
            in_spec='[1, {"type": "collections.defaultdict", "context": "{}", "children_spec": []}]'
        )),
        "inputs or outputs in a 'collections.defaultdict'",
    ),
    "a key of a container": (
        lambda _: edited(GRAPH, lambda data: data["graph_module"]["module_call_graph"][0]["signature"].update(
            in_spec='[1, {"type": "builtins.dict", "context": "[\\"a\'\\"]", "children_spec": []}]'
        )),
        "inputs or outputs in a 'builtins.dict'",
    ),
}  # fmt: skip
#: Those that torch itself carries out when it loads the file, or makes a module of it.
REAL = (
    "sample inputs", "bare pickle as sample inputs", "weights in one pickle", "constants in one pickle", "a pickled weight",
    "an opaque object", "a pickled constant", "an expression", "the old format",
)  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_would_run_code_is_refused_and_does_not_run(good: Path, tmp_path: Path, attack: str) -> None:
    """In the store and from a client, in one line that names it; most are shown to work on torch alone."""
    marker = tmp_path / "written"
    change, says = ATTACKS[attack]
    path = rewritten(good, tmp_path / "bad.pt2", change(marker))
    engine = TorchEngine("cpu", 1)
    for refuses in (engine.load, engine.check_upload):
        with pytest.raises(InvalidArgument, match=says):
            refuses(path)
    assert not marker.exists()
    if attack in REAL:
        with contextlib.suppress(Exception):
            module: Any = torch.export.load(str(path)).module()
            module(torch.ones((2, 3), dtype=torch.int64), torch.ones((2, 3), dtype=torch.int64))
        assert marker.exists(), "torch alone does not do it: the test proves nothing"


def test_an_archive_that_readers_may_read_differently_is_refused(good: Path, tmp_path: Path) -> None:
    """Two entries of one name, entries outside of the archive's folder, compressed ones, and no archive at all."""
    engine = TorchEngine("cpu", 1)
    double, outside = (rewritten(good, tmp_path / name, lambda _: None) for name in ("double.pt2", "outside.pt2"))
    with zipfile.ZipFile(double, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(f"model/{SAMPLES}", b"")
    with zipfile.ZipFile(outside, "a") as archive:
        archive.writestr("other/version", b"8")
    packed = rewritten(good, tmp_path / "packed.pt2", lambda _: None, zipfile.ZIP_DEFLATED)
    cut = tmp_path / "cut.pt2"
    cut.write_bytes(good.read_bytes()[:-100])
    for path, says in ((double, "not agree"), (outside, "not in a subdirectory"), (packed, "compressed entries"), (cut, "")):
        with pytest.raises(InvalidArgument, match=says):
            engine.load(path)


def test_a_good_file_runs_from_the_store_and_from_a_client(spawn_agent: SpawnAgent, good: Path, tmp_path: Path) -> None:
    """Where TorchScript may be sent (``allow``) and only there; its answers are the same, and its requests are joined."""
    inputs = [from_values("int64", [1, 3], [1, 2, 3]), from_values("int64", [1, 3], [1, 1, 0])]
    agent = spawn_agent("--models", str(good.parent), "--preload", "good", "--uploads", "allow")
    assert "its requests run alone" not in agent.text
    calls = client(agent)
    session = calls.create_session()
    sent = rewritten(good, tmp_path / "sent.pt2", lambda entries: entries.update({"extra/note.txt": b"another content"}))
    for model in (calls.register_path(session, "good"), calls.register_bytes(session, sent.read_bytes(), "sent.pt2")):
        assert to_values(calls.run(session, model, inputs, 1)[0]) == [3, 2]
    known = client(spawn_agent("--models", str(good.parent), "--uploads", "known"))
    session = known.create_session()
    with pytest.raises(PermissionDenied, match="--uploads known"):
        known.register_bytes(session, sent.read_bytes())
    assert known.register_bytes(session, good.read_bytes()) > 0


def test_a_dimension_that_was_exported_as_fixed_stays_fixed(tmp_path: Path) -> None:
    """Another size is an error, not a wrong answer."""
    ids, mask = (torch.ones((2, 3), dtype=torch.int64) for _ in range(2))
    torch.export.save(torch.export.export(MaskedSum(), (ids, mask)), tmp_path / "fixed.pt2")
    program = TorchEngine("cpu", 1).load(tmp_path / "fixed.pt2")
    rows = [from_values("int64", [2, 3], range(6)), from_values("int64", [2, 3], [1] * 6)]
    assert to_values(program.run([rows], alone=True).outputs[0][0]) == [3, 3, 12, 3]
    with pytest.raises(Exception, match="shape"):
        program.run([[from_values("int64", [2, 4], range(8))] * 2], alone=True)
