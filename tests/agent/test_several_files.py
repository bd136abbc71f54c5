"""Models of several files: by paths of the store and by bytes, in every dialect, within their limits."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

from agent.engines.arrays import difference, to_array
from agent.store.several import MAX_FILES, MAX_NAME, check_names, content_digest
from tests.support.clients import client
from tests.support.formplugin import write
from tests.support.onnxmodels import expected, external, foreign
from tests.support.optional import require
from tests.support.servers import ServerProcess, SpawnAgent
from tests.support.torchmodels import Twice, saved
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.dialects import Version
from vaccel_rpc.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)
from vaccel_rpc.tensors import Tensor, from_values, to_values

DIALECTS: tuple[Version, ...] = ("0.7", "2025-07", "2025-08", "0.8")
Files = list[tuple[str, bytes]]


def fill(folder: Path, **numbers: str) -> Files:
    """``model.form``, which refers to files with these numbers, and the files; all of them, the model last."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, number in numbers.items():
        (folder / name).write_text(number)
    write(folder / "model.form", refers=list(numbers))
    return [(name, (folder / name).read_bytes()) for name in (*numbers, "model.form")]


def digest_of(files: Files) -> str:
    """As documented: by `sha256sum`'s lines, the model's own without a name."""
    lines = sorted((name if name != "model.form" else "", hashlib.sha256(data).hexdigest()) for name, data in files)
    return hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in lines).encode()).hexdigest()


@pytest.fixture
def start(spawn_agent: SpawnAgent, tmp_path: Path) -> Sequence[ServerProcess]:
    """An agent with the engine, the store ``store`` of one such model, and uploads allowed; its private folder is ``tmp``."""
    (tmp_path / "tmp").mkdir()
    options = ("--plugin", "tests.support.formplugin", "--models", str(tmp_path / "store"))
    fill(tmp_path / "store", a="100", b="20")
    return [spawn_agent(*options, "--uploads", policy, env={"TMPDIR": str(tmp_path / "tmp")}) for policy in ("allow", "known")]


def answer(calls: VaccelClient, session: int, model: int) -> float:
    """Of the row (1, 2): 3, and the numbers of the files."""
    return to_values(calls.run(session, model, [from_values("int64", [1, 2], [1, 2])], 1, 20)[0])[0]


@pytest.mark.parametrize("version", DIALECTS)
def test_by_paths_and_by_bytes_in_every_dialect(start: Sequence[ServerProcess], tmp_path: Path, version: Version) -> None:
    """Whatever the order: the store's by one path or all of them, a client's own, and the store's from a client's bytes."""
    sent = fill(tmp_path / "sent", a="1000", b="5")
    for agent, may in zip(start, (True, False), strict=True):
        calls = client(agent, version=version)
        session = calls.create_session()
        known = fill(tmp_path / "store", a="100", b="20")
        for paths in (["model"], ["model.form", "a", "b"], ["b", "model.form", "a"], [f"sha256:{digest_of(known)}"]):
            assert answer(calls, session, calls.register_paths(session, paths)) == 123
        assert answer(calls, session, calls.register_files(session, known)) == 123
        if not may:
            with pytest.raises(PermissionDenied, match="--uploads known"):
                calls.register_files(session, sent)
            continue
        for files in (sent, sent[::-1]):
            model = calls.register_files(session, files)
            assert answer(calls, session, model) == 1008
            if version != "0.7":
                assert calls.sync_files(model) == files
            calls.unregister(session, model)


def test_a_resource_goes_with_all_its_files(start: Sequence[ServerProcess], tmp_path: Path) -> None:
    """They are in one private folder, which vanishes with the last reference; a refused model leaves nothing."""
    calls = client(start[0])
    session = calls.create_session()
    model = calls.register_files(session, fill(tmp_path / "sent", a="1", b="2"))
    uploads = [path for path in (tmp_path / "tmp").glob("*/*") if path.is_dir()]
    assert [sorted(path.name for path in folder.iterdir()) for folder in uploads] == [["a", "b", "model.form"]]
    calls.unregister(session, model)
    with pytest.raises(InvalidArgument):
        calls.register_files(session, [*fill(tmp_path / "bad", a="1")[1:], ("c", b"3")])
    assert list((tmp_path / "tmp").glob("*/*")) == []


def test_one_is_the_model_and_the_others_what_it_refers_to(start: Sequence[ServerProcess], tmp_path: Path) -> None:
    """Each error names the file and what would be right."""
    calls = client(start[0])
    session = calls.create_session()
    *others, model = fill(tmp_path / "sent", a="1", b="2")
    script = ("m.pt", saved(Twice(), tmp_path / "m.pt"))
    for files, says in (
        (others, "2 files one is the model .* 0 of them are models"),
        ([model, ("other.form", model[1]), *others], "2 of them are models"),
        ([model, others[0]], "model.form refers to 'b', which was not given"),
        ([model, *others, ("c", b"3")], "'c' is not a file that model.form refers to: that is 'a', 'b'"),
        ([script, others[0]], "'a' is not a file that m.pt refers to: that is no other file"),
        ([("model.form", b"text"), *others], "no form"),
        ([model, others[0], others[0]], "two files of the model are named 'a'"),
        ([model, ("../a", b"1")], "a file is named '../a'"),
        ([model, ("a", b"")], "'a' is empty"),
    ):
        with pytest.raises(InvalidArgument, match=says):
            calls.register_files(session, files)
    for paths, says in (
        (["model.form", "a"], "refers to 'b', which was not given"),
        (["a", "b"], "0 of them are models"),
        (["model.form", "a", "b", "b"], "a file of the model is given twice"),
        (["model.form", "model.form"], "2 of them are models"),
    ):
        with pytest.raises(InvalidArgument, match=says):
            calls.register_paths(session, paths)
    with pytest.raises(PermissionDenied):
        calls.register_paths(session, ["model.form", "a", "../sent/b"])
    with pytest.raises(NotFound):
        calls.register_paths(session, ["model.form", "a", "c"])


def test_the_number_of_files_and_their_bytes_are_limited(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """The last that is accepted and the first that is refused, sent or in the store."""
    most = {f"f{i}": "1" for i in range(MAX_FILES - 1)}
    files = fill(tmp_path / "most", **most)
    fill(tmp_path / "more", **most, last="1")
    calls = client(
        spawn_agent(
            "--plugin", "tests.support.formplugin", "--models", str(tmp_path / "more"), "--uploads", "allow", "--max-uploads", "1"
        )
    )
    session = calls.create_session()
    model = calls.register_files(session, files)
    assert answer(calls, session, model) == 3 + MAX_FILES - 1
    calls.unregister(session, model)
    with pytest.raises(InvalidArgument, match=f"at most {MAX_FILES} files, {MAX_FILES + 1} were given"):
        calls.register_files(session, [*files, ("one", b"1")])
    with pytest.raises(InvalidArgument, match=f"refers to {MAX_FILES} files; a model has at most {MAX_FILES}"):
        calls.register_path(session, "model")
    big = fill(tmp_path / "big", a="1", b="2")
    room = (1 << 20) - sum(len(data) for _, data in big[1:])
    assert calls.register_files(session, [("a", b"1".ljust(room)), *big[1:]]) > 0
    calls = client(spawn_agent("--plugin", "tests.support.formplugin", "--uploads", "allow", "--max-uploads", "1"))
    with pytest.raises(ResourceExhausted, match="more than all uploads may have"):
        calls.register_files(calls.create_session(), [("a", b"1".ljust(room + 1)), *big[1:]])


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/a", "a\\b", "a\0b", "x" * (MAX_NAME + 1), "ä" * (MAX_NAME // 2 + 1)], ids=ascii
)
def test_names_are_plain(name: str) -> None:
    """What might lead anywhere else, or not fit a folder, is refused; the longest name is not."""
    with pytest.raises(InvalidArgument, match="a file is named"):
        check_names(["model.form", name])
    check_names(["model.form", "x" * MAX_NAME, "-", " ", "...", "ä" * (MAX_NAME // 2)])


def test_the_digest_is_of_all_files_and_of_no_order() -> None:
    """A single file's is its own."""
    assert content_digest("a" * 64, {}) == "a" * 64
    one = content_digest("a" * 64, {"x": "b" * 64, "y": "c" * 64})
    assert one == content_digest("a" * 64, {"y": "c" * 64, "x": "b" * 64})
    others = [
        content_digest("b" * 64, {"x": "b" * 64, "y": "c" * 64}),
        content_digest("a" * 64, {"x": "c" * 64, "y": "b" * 64}),
        content_digest("a" * 64, {"x": "b" * 64}),
    ]
    assert len({one, *others}) == 4


@pytest.mark.parametrize("version", DIALECTS)
def test_an_onnx_file_with_external_data(spawn_agent: SpawnAgent, tmp_path: Path, version: Version) -> None:
    """By its name, by the paths of both files, and by their bytes; the answer is that of the file in one piece."""
    require(importlib.util.find_spec("onnxruntime"), "onnxruntime is not installed (make install-onnx)")
    store = tmp_path / "store"
    store.mkdir()
    whole = foreign()
    onnx.save(whole, store / "whole.onnx")
    onnx.save(whole, store / "parts.onnx", save_as_external_data=True, location="parts.bin", size_threshold=256)
    sent = [(name, (store / name).read_bytes()) for name in ("parts.bin", "parts.onnx")]
    calls = client(spawn_agent("--models", str(store), "--uploads", "known"), version=version)
    session = calls.create_session()
    inputs = [from_values("int64", [1, 2], [3, 4]), from_values("int64", [1, 2], [1, 1])]

    def logits(model: int) -> Tensor:
        return calls.run(session, model, inputs, 1, 20)[0]

    right = logits(calls.register_path(session, "whole"))
    for model in (
        calls.register_path(session, "parts"),
        calls.register_paths(session, ["parts.bin", "parts.onnx"]),
        calls.register_files(session, sent),
        calls.register_files(session, [("renamed.onnx", sent[1][1]), sent[0]]),
    ):
        assert difference([right], [logits(model)]) <= 1e-6
    with pytest.raises(PermissionDenied, match="--uploads known"):
        calls.register_files(session, [("parts.bin", sent[0][1][::-1]), sent[1]])


def test_another_file_of_the_model_that_is_replaced_does_not_run(start: Sequence[ServerProcess], tmp_path: Path) -> None:
    """As the model's own: its content is all of them."""
    calls = client(start[0])
    session = calls.create_session()
    model = calls.register_path(session, "model")
    (tmp_path / "store" / "a").write_text("7")
    with pytest.raises(FailedPrecondition, match="register it again"):
        answer(calls, session, model)
    assert answer(calls, session, calls.register_path(session, "model")) == 30
    (tmp_path / "store" / "a").unlink()
    (tmp_path / "store" / "a").symlink_to("/etc/hostname")
    with pytest.raises(NotFound, match="refers to 'a', which is not in the store"):
        calls.register_path(session, "model")


def test_a_model_of_several_files_is_tried_too(spawn_agent: SpawnAgent) -> None:
    """Under ``allow``, which takes its weights in another file: one that is right runs, and one that is not is refused."""
    calls = client(spawn_agent("--uploads", "allow"))
    session = calls.create_session()
    weights = ("w.bin", foreign().graph.initializer[0].raw_data)
    right, hostile = external("w.bin"), external("w.bin")
    hostile.graph.node[0].op_type = "Nope"
    text = [from_values("int64", [1, 2], [3, 4]), from_values("int64", [1, 2], [1, 1])]
    (logits,) = calls.run(session, calls.register_files(session, [("m.onnx", right.SerializeToString()), weights]), text, 1)
    assert np.allclose(to_array(logits), expected(3, 4), atol=1e-5)
    with pytest.raises(InvalidArgument, match="the ONNX file is refused: it has the operator 'Nope'"):
        calls.register_files(session, [("m.onnx", hostile.SerializeToString()), weights])
