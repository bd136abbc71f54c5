"""What else lies in a store's folder: it hurts no model, whether by listing, preloading, name or digest."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent.store.folder import StoreFolder
from tests.support.clients import client
from tests.support.optional import require
from tests.support.paths import ROOT
from tests.support.servers import SpawnAgent
from tests.support.torchmodels import Twice, saved
from vaccel_common.digestfile import digest_beside
from vaccel_common.modelfile import ModelFileError
from vaccel_rpc.errors import NotFound, PermissionDenied
from vaccel_rpc.tensors import from_values, to_values

#: Each entry -> what the log says of it.
REASONS = {
    "a-loop.pt": "Too many levels of symbolic links",
    "a-gone.pt": "No such file or directory",
    "a-long.pt": "File name too long",
    "a-out.pt": "a link that leads out of the store",
    "a-folder.pt": "not a regular file",
    "a-fifo.pt": "not a regular file",
    "a-socket.pt": "not a regular file",
    "a-device.pt": "a link that leads out of the store",
    r"a-\udcff.pt": "its name is not UTF-8",
}


def fill(folder: Path) -> bytes:
    """A folder with one model among all of them; the model's bytes."""
    folder.mkdir()
    data = saved(Twice(), folder / "double.pt")
    (folder.parent / "outside.pt").write_bytes(data)
    for name, target in (
        ("a-loop.pt", "a-loop.pt"), ("a-gone.pt", "nowhere.pt"), ("a-long.pt", "x" * 300), ("a-out.pt", "../outside.pt"),
        ("a-device.pt", "/dev/zero"),
    ):  # fmt: skip
        (folder / name).symlink_to(target)
    (folder / "a-folder.pt").mkdir()
    os.mkfifo(folder / "a-fifo.pt")
    bound = socket.socket(socket.AF_UNIX)
    # The folder's own path may be too long for an address.
    opened = os.open(folder, os.O_RDONLY)
    bound.bind(f"/proc/self/fd/{opened}/a-socket.pt")
    os.close(opened)
    bound.close()
    Path(os.fsdecode(os.fsencode(folder) + b"/a-\xff.pt")).write_bytes(data)
    return data


def test_odd_entries_hurt_no_model(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """The one model is preloaded and served by name and digest; the log names each entry once, and no client waits."""
    store = tmp_path / "store"
    data = fill(store)
    agent = spawn_agent("--models", str(store), "--preload", "all", "--metrics-address", "127.0.0.1:0")
    assert agent.text.count("Loaded model") == 1
    calls = client(agent)
    session = calls.create_session()
    for path in ("double", f"sha256:{hashlib.sha256(data).hexdigest()}"):
        model = calls.register_path(session, path, 10)
        assert to_values(calls.run(session, model, [from_values("int64", [1], [4])], 1, 10)[0]) == [8]
    for name in ("a-loop", "a-gone", "a-long", "a-folder", "a-fifo", "a-socket", "sha256:" + "0" * 64):
        with pytest.raises(NotFound):
            calls.register_path(session, name, 10)
    for name in ("a-out", "a-device"):
        with pytest.raises(PermissionDenied):
            calls.register_path(session, name, 10)
    for name, reason in REASONS.items():
        assert agent.text.count(f"The store's file {name} is left out: {reason}") == 1
    assert "Traceback" not in agent.text


def test_a_file_that_may_not_be_read_hurts_no_other(tmp_path: Path) -> None:
    """Nor does a link through a folder that may not be entered; both are told."""
    store, closed = tmp_path / "store", tmp_path / "store" / "closed"
    closed.mkdir(parents=True)
    for path in (store / "b.pt", store / "secret.pt", closed / "c.pt"):
        path.touch()
    (store / "a.pt").symlink_to("closed/c.pt")
    (store / "secret.pt").chmod(0)
    closed.chmod(0)
    code = (
        "import logging, sys, pathlib; logging.basicConfig(stream=sys.stdout, format='%(message)s');"
        "from agent.store.folder import StoreFolder;"
        "print([path.name for path in StoreFolder(pathlib.Path(sys.argv[1]), lambda: ('.pt',)).files()])"
    )
    require(os.geteuid() != 0 or shutil.which("setpriv"), "setpriv is missing (Debian: util-linux)")
    # Root may read everything, unless it has no capabilities.
    powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*powerless, sys.executable, "-c", code, str(store)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    closed.chmod(0o700)
    assert "['b.pt']" in done.stdout, done.stderr
    assert "The store's file secret.pt is left out: this user may not read it" in done.stdout
    assert "The store's file a.pt is left out: Permission denied" in done.stdout


def test_a_folder_that_is_gone_is_an_empty_store_with_a_reason(tmp_path: Path) -> None:
    """An operator may remove it while the agent runs."""
    (tmp_path / "store").mkdir()
    folder = StoreFolder(tmp_path / "store", lambda: (".pt",))
    (tmp_path / "store").rmdir()
    with pytest.raises(NotFound, match="the store cannot be read: No such file"):
        folder.files()


@pytest.mark.parametrize("kind", ["fifo", "folder", "endless", "binary"])
def test_a_digest_file_that_is_none_blocks_nobody(tmp_path: Path, kind: str) -> None:
    """A FIFO without a writer, a folder, a device without an end: an error that names the file."""
    beside = tmp_path / "model.pt.sha256"
    match kind:
        case "fifo":
            os.mkfifo(beside)
        case "folder":
            beside.mkdir()
        case "endless":
            beside.symlink_to("/dev/zero")
        case _:
            beside.write_bytes(b"\xff" * 64)
    with pytest.raises(ModelFileError, match=r"model\.pt\.sha256 has no sha256"):
        digest_beside(tmp_path / "model.pt")
