"""What each error is to a C or Python program of upstream's: docs/vaccel.md has the table, and it is so."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from errno import EIO
from pathlib import Path

import pytest
import torch

from tests.support.paths import ROOT
from tests.support.peers import wire
from tests.support.peers.dialects import LIB, OLD_07, SYNC_08, DialectNames, RawTensor, Steps, int64
from tests.support.peers.raw_ttrpc import RawClient, RawReply
from tests.support.servers import SpawnAgent
from tests.support.torchmodels import Copies, Doubles, Greedy, Refuses, Slow, saved
from vaccel_rpc.errors import from_code

DIALECTS = {"0.8": SYNC_08, "0.7": OLD_07}
#: Elements of 4 bytes, more than any machine has.
TOO_MUCH = 1 << 60


def errno_of(reply: RawReply) -> int | None:
    """What upstream's clients find in the first detail of a status, whatever its type says; None without a detail."""
    return wire.integer(wire.decode(reply.details[0][1]), 2) if reply.details else None


class Situation:
    """A client with a session, in one dialect, at an agent with small limits."""

    def __init__(self, raw: RawClient, dialect: DialectNames, folder: Path) -> None:
        self.raw, self.dialect, self.folder = raw, dialect, folder
        self.steps = Steps(raw.ok, dialect)
        self.session = self.steps.create_session()

    def call(self, method: str, payload: bytes, timeout_nano: int = 0) -> RawReply:
        return self.raw.call(self.dialect.service, method, payload, timeout_nano=timeout_nano)

    def register(self, path: str, kind: int = 2) -> RawReply:
        return self.call("RegisterResource", self.dialect.register(self.session, paths=[path], kind=kind))

    def run(self, module: torch.nn.Module, *inputs: RawTensor, outputs: int = 1, timeout_nano: int = 0) -> RawReply:
        name = type(module).__name__
        model = self.steps.register_bytes(self.session, saved(module, self.folder / f"{name}.pt"))
        payload = self.dialect.run(self.session, model, inputs, outputs)
        return self.call(self.dialect.run_method, payload, timeout_nano)

    def sessions_until_refused(self) -> RawReply:
        while not (reply := self.call("CreateSession", b"")).code:
            pass
        return reply

    def upload(self, data: bytes) -> RawReply:
        return self.call("RegisterResource", self.dialect.register(self.session, blobs=[data]))

    def resources_until_refused(self) -> RawReply:
        saved(Copies(), self.folder / "store" / "copies.pt")
        while not (reply := self.register("copies")).code:
            pass
        return reply

    def damaged(self) -> RawReply:
        (self.folder / "store" / "damaged.pt").write_bytes(b"not what its digest says")
        (self.folder / "store" / "damaged.pt.sha256").write_text(hashlib.sha256(b"else").hexdigest() + "  damaged.pt\n")
        return self.register("damaged")


SITUATIONS: dict[str, tuple[str, Callable[[Situation], RawReply]]] = {
    "a session that is not there": ("NOT_FOUND", lambda s: s.call("UpdateSession", wire.message((1, 4242)))),
    "a resource that is not there": (
        "NOT_FOUND",
        lambda s: s.call(s.dialect.run_method, s.dialect.run(s.session, 4242, [int64([1], 1)])),
    ),
    "a model that is not there": ("NOT_FOUND", lambda s: s.register("nothing")),
    "a path outside the store": ("PERMISSION_DENIED", lambda s: s.register("http://models.example/none.pt")),
    "a shared library": ("PERMISSION_DENIED", lambda s: s.register("tweets", LIB)),
    "a wrong number of outputs": ("INVALID_ARGUMENT", lambda s: s.run(Copies(), int64([1], 1), outputs=2)),
    "a run that fails in the model": ("INTERNAL", lambda s: s.run(Refuses(), int64([-1], 1))),
    "a run without enough memory": ("RESOURCE_EXHAUSTED", lambda s: s.run(Greedy(), int64([TOO_MUCH], 1))),
    "too many sessions": ("RESOURCE_EXHAUSTED", Situation.sessions_until_refused),
    "an upload larger than all may be": ("RESOURCE_EXHAUSTED", lambda s: s.upload(bytes(2 << 20))),
    "too many resources": ("RESOURCE_EXHAUSTED", Situation.resources_until_refused),
    "a data type that vAccel does not have": ("UNIMPLEMENTED", lambda s: s.run(Doubles(), int64([1], 1))),
    "an engine that is not there": ("UNIMPLEMENTED", lambda s: s.call("TensorflowModelRun", b"")),
    "a file that does not match its digest": ("FAILED_PRECONDITION", Situation.damaged),
    "a deadline that passes": ("DEADLINE_EXCEEDED", lambda s: s.run(Slow(), int64([5_000], 1), timeout_nano=1_000_000)),
}


@pytest.fixture(scope="module")
def rows() -> set[tuple[str, str, str]]:
    """Status, errno of the detail and what C gets, of each row of the table."""
    section = (ROOT / "docs" / "vaccel.md").read_text().partition("## Errors on the other side")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| ")]
    return {(status, re.split(r"[ ,]", errno)[0], c.split()[0]) for _, status, errno, c, _ in cells[1:]}


@pytest.mark.parametrize("version", DIALECTS)
@pytest.mark.parametrize("name", SITUATIONS)
def test_an_error_is_to_upstreams_programs_what_the_table_says(
    name: str, version: str, spawn_agent: SpawnAgent, tmp_path: Path, rows: set[tuple[str, str, str]]
) -> None:
    """Without a detail they get EIO, and their log has the message; with one they get its errno."""
    (tmp_path / "store").mkdir()
    agent = spawn_agent("--models", str(tmp_path / "store"), "--uploads", "allow", "--max-sessions", "3", "--max-uploads", "1")
    status, provoke = SITUATIONS[name]
    with RawClient(agent.addresses["unix"]) as raw:
        reply = provoke(Situation(raw, DIALECTS[version], tmp_path))
    assert from_code(reply.code, reply.message).name == status, reply
    errno = errno_of(reply)
    assert (status, "none" if errno is None else str(errno), str(errno or EIO)) in rows, reply
    assert reply.message
