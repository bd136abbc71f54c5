"""The store and uploads: which files an agent loads, from where, and how often."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.store.folder import StoreFolder
from agent.store.uploads_folder import UploadsFolder
from tests.support.clients import client
from tests.support.servers import ServerProcess, SpawnAgent
from tests.support.torchmodels import First, Twice, saved
from vaccel_rpc.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
)
from vaccel_rpc.tensors import from_values, to_values


def test_paths_lead_nowhere_but_into_the_store(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """NAME, NAME.pt, sha256 and file:// inside; URLs, dots, other folders and links that lead out are refused."""
    store = tmp_path / "store"
    store.mkdir()
    data = saved(Twice(), store / "double.pt")
    saved(First(), tmp_path / "outside.pt")
    (store / "link.pt").symlink_to(tmp_path / "outside.pt")
    calls = client(spawn_agent("--models", str(store)))
    session = calls.create_session()
    for path in ("double", "double.pt", f"sha256:{hashlib.sha256(data).hexdigest()}", f"file://{store}/double.pt"):
        assert calls.register_path(session, path) > 0
    for path in (
        "../outside.pt",
        "link",
        "/etc/passwd",
        f"file://{tmp_path}/outside.pt",
        "http://host/double.pt",
        "file:///etc/../etc/x.pt",
        "/",
    ):
        with pytest.raises(PermissionDenied):
            calls.register_path(session, path)
    for path in ("nothing", "sha256:" + "0" * 64, "a" * 300, "a/" * 3000 + "b.pt"):
        with pytest.raises(NotFound):
            calls.register_path(session, path)
    with pytest.raises(InvalidArgument, match="the path is empty"):
        calls.register_path(session, "")


@pytest.mark.parametrize("path", ["shop/double.pt", "./shop/double", "data/shop/double.pt", "shop//./double.pt"])
def test_a_relative_path_may_begin_beside_the_store(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the folder, where the agent was started, and in the folder itself; a file elsewhere stays unknown."""
    store = tmp_path / "data" / "shop"
    (store / "shop").mkdir(parents=True)
    (store / "double.pt").touch()
    (tmp_path / "data" / "other.pt").touch()
    monkeypatch.chdir(tmp_path)
    folder = StoreFolder(store, lambda: (".pt",))
    assert folder.resolve(path).samefile(store / "double.pt")
    (store / "shop" / "double.pt").touch()
    assert folder.resolve("shop/double.pt").samefile(store / "shop" / "double.pt")
    for elsewhere in ("data/other.pt", "other.pt"):
        with pytest.raises(NotFound):
            folder.resolve(elsewhere)


def test_a_relative_path_follows_the_name_that_the_store_was_given(tmp_path: Path) -> None:
    """A store behind a link is found by the link's name, and a link to a model keeps its own name."""
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "first.pt").touch()
    (tmp_path / "v1" / "newest.pt").symlink_to("first.pt")
    (tmp_path / "models").symlink_to("v1")
    folder = StoreFolder(tmp_path / "models", lambda: (".pt",))
    assert folder.resolve("models/newest.pt").name == "newest.pt"


def test_a_client_reads_back_what_it_sent(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Also where the store has the same bytes, or a variant of them runs; never a model that it named by a path."""
    store = tmp_path / "store"
    store.mkdir()
    known, new = saved(Twice(), store / "double.pt"), saved(First(), tmp_path / "first.pt")
    calls = client(spawn_agent("--models", str(store), "--uploads", "allow"))
    session = calls.create_session()
    for data in (known, new, known):
        assert calls.sync(calls.register_bytes(session, data)) == data
    with pytest.raises(PermissionDenied, match="only the bytes that it sent"):
        calls.sync(calls.register_path(session, "double"))
    gone = calls.register_bytes(session, known)
    saved(First(), store / "double.pt")
    with pytest.raises(NotFound, match=r"the file of double .* has changed"):
        calls.sync(gone)


def test_uploads_of_a_killed_agent_are_removed(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """By the next agent on the machine; those of one that lives are not, and what is no agent's stays."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    kept = {"vaccel-uploads-notes", "vaccel-uploads-mine", "vaccel-agent-mine"}
    (temporary / "vaccel-uploads-notes").write_text("not a folder")
    for folder in ("vaccel-uploads-mine", "vaccel-agent-mine"):
        (temporary / folder).mkdir()
        (temporary / folder / "thesis.txt").write_text("somebody's work")
    env = {"TMPDIR": str(temporary)}
    data = saved(Twice(), tmp_path / "double.pt")

    def files() -> int:
        return len([path for path in temporary.rglob("*") if path.name.startswith(hashlib.sha256(data).hexdigest())])

    killed, living = spawn_agent(env=env), spawn_agent(env=env)
    for agent in (killed, living):
        calls = client(agent)
        calls.register_bytes(calls.create_session(), data)
    assert files() == 2
    killed.stop(signal.SIGKILL)
    assert files() == 2
    after = spawn_agent(env=env)
    assert files() == 1
    assert "Removed the uploads of an agent that was killed" in after.text
    assert calls.register_bytes(calls.create_session(), data) > 0
    living.stop()
    after.stop()
    assert {path.name for path in temporary.iterdir()} == kept
    assert len([*temporary.rglob("thesis.txt")]) == 2


def test_models_of_several_files_of_a_killed_agent_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are folders; links to files that it had opened, too."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "vaccel-uploads-left"
    for name in (f"{'0' * 64}-1", f"{'1' * 64}-02"):
        (left / name).mkdir(parents=True)
    (left / f"{'0' * 64}-1" / "model.onnx").touch()
    (left / f"{'1' * 64}-02" / "model.pt").symlink_to("/proc/self/fd/9")
    uploads = UploadsFolder()
    assert [*tmp_path.iterdir()] == [uploads.path]
    uploads.close()


def test_the_folder_is_closed_twice_without_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a second signal comes at the end; what has its descriptor by then keeps it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    uploads = UploadsFolder()
    uploads.close()
    with (tmp_path / "other").open("w") as other:
        uploads.close()
        other.write("kept")
    assert (tmp_path / "other").read_text() == "kept"


def test_a_file_is_uploaded_again_while_the_first_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a deadline: the first is written to its end and removed, and the second stays."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    uploads, threads = UploadsFolder(), ThreadPoolExecutor(2)
    writing, go_on = threading.Event(), threading.Event()

    def check(_: Path) -> None:
        writing.set()
        go_on.wait(10)

    async def twice() -> Path:
        first = asyncio.create_task(uploads.write("0" * 64, [("model", memoryview(b"model"))], check, threads))
        await asyncio.to_thread(writing.wait, 10)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        path, checked = await uploads.write("0" * 64, [("model", memoryview(b"model"))], lambda _: "checked", threads)
        assert checked == "checked"
        return path

    second = asyncio.run(twice())
    go_on.set()
    threads.shutdown()
    assert [*uploads.path.iterdir()] == [second]
    assert second.read_bytes() == b"model"
    uploads.close()


def test_what_cannot_be_read_in_the_store_hides_no_other_model(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Links in a loop and to nowhere, a folder named like a model, and a digest that is none; the log names it once."""
    data = saved(Twice(), tmp_path / "double.pt")
    (tmp_path / "a-loop.pt").symlink_to("a-loop.pt")
    (tmp_path / "a-gone.pt").symlink_to("nowhere.pt")
    (tmp_path / "a-folder.pt").mkdir()
    (tmp_path / "a-bad.pt").write_bytes(data + b"1")
    (tmp_path / "a-bad.pt.sha256").write_text("not a digest")
    agent = spawn_agent("--models", str(tmp_path))
    calls = client(agent)
    session = calls.create_session()
    for _ in range(2):
        assert calls.register_path(session, f"sha256:{hashlib.sha256(data).hexdigest()}") > 0
    for name in ("a-loop", "a-gone", "a-folder", f"sha256:{'0' * 64}"):
        with pytest.raises(NotFound):
            calls.register_path(session, name)
    with pytest.raises(FailedPrecondition, match=r"a-bad\.pt\.sha256"):
        calls.register_path(session, "a-bad")
    assert agent.text.count("The store's file a-bad.pt is left out") == 1


def test_upload_policies(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """allow runs any TorchScript, known what the store has, deny nothing; the refusal names the option."""
    store = tmp_path / "store"
    store.mkdir()
    known, new = saved(Twice(), store / "double.pt"), saved(First(), tmp_path / "first.pt")
    for policy, takes_known, takes_new in (("allow", True, True), ("known", True, False), ("deny", False, False)):
        calls = client(spawn_agent("--models", str(store), "--uploads", policy))
        session = calls.create_session()
        for data, taken in ((known, takes_known), (new, takes_new)):
            if taken:
                assert calls.register_bytes(session, data) > 0
            else:
                with pytest.raises(PermissionDenied, match=f"--uploads {policy}"):
                    calls.register_bytes(session, data)
    default = client(spawn_agent("-a", "tcp://127.0.0.1:0", "--models", str(store)), "tcp")
    with pytest.raises(PermissionDenied, match="--uploads known"):
        default.register_bytes(default.create_session(), new)


def test_what_is_no_model_is_refused_and_the_session_goes_on(agent: ServerProcess, tmp_path: Path) -> None:
    """Text, a damaged archive, a zip of something else."""
    good = saved(Twice(), tmp_path / "double.pt")
    calls = client(agent)
    session = calls.create_session()
    for data, says in (
        (b"hello", "not a model"),
        (good[: len(good) // 2], "not a model"),
    ):
        with pytest.raises(InvalidArgument, match=says):
            calls.register_bytes(session, data)
    damaged = good.replace(b"constants", b"c0nstants").replace(b"forward", b"f0rward")
    with pytest.raises(InvalidArgument):
        calls.load(session, calls.register_bytes(session, damaged))
    assert calls.register_bytes(session, good) > 0


def test_the_same_content_is_loaded_once_and_uploads_vanish(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Two clients, one load; the file goes with the last reference, the agent's private folder with the agent."""
    data = saved(Twice(), tmp_path / "double.pt")
    private = tmp_path / "tmp"
    private.mkdir()
    agent = spawn_agent(env={"TMPDIR": str(private)})
    clients = [client(agent) for _ in range(3)]
    for calls in clients:
        session = calls.create_session()
        model = calls.register_bytes(session, data, "double.pt")
        assert to_values(calls.run(session, model, [from_values("int64", [1], [21])], 1)[0]) == [42]
        assert calls.sync(model) == data
    (folder,) = private.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.iterdir()] == [f"{hashlib.sha256(data).hexdigest()}-1"]
    for calls in clients:
        calls.close()
    end = time.monotonic() + 5
    while list(folder.iterdir()) and time.monotonic() < end:
        time.sleep(0.02)
    assert list(folder.iterdir()) == []
    again = client(agent)
    session = again.create_session()
    with pytest.raises(NotFound):
        again.register_path(session, f"sha256:{hashlib.sha256(data).hexdigest()}")
    model = again.register_bytes(session, data)
    assert to_values(again.run(session, model, [from_values("int64", [1], [4])], 1)[0]) == [8]
    assert agent.text.count("Loaded model") == 1
    assert agent.stop() == 0
    assert list(private.iterdir()) == []


def test_a_damaged_store_file_is_not_loaded(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """The digest beside a model is checked when it is registered; preloading such a model ends the agent with a line."""
    saved(Twice(), tmp_path / "double.pt")
    (tmp_path / "double.pt.sha256").write_text("0" * 64 + "  double.pt\n")
    calls = client(spawn_agent("--models", str(tmp_path)))
    session = calls.create_session()
    with pytest.raises(FailedPrecondition, match=r"double\.pt does not match double\.pt\.sha256"):
        calls.register_path(session, "double")
    preloading = spawn_agent("--models", str(tmp_path), "--preload", "all", ready=False)
    assert preloading.process.wait(30) == 1
    assert "--preload" in preloading.text
    assert "Traceback" not in preloading.text
