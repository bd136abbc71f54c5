"""What the process of a client's model says is checked as a stranger's data are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agent.engines.contract import UPLOAD_MEMORY
from agent.engines.onnx import boxed, boxprocess
from agent.engines.onnx.boxpool import BoxPool
from tests.agent.test_onnx_boxed import has_ended, load, save, wait
from tests.support.onnxmodels import foreign
from vaccel_rpc.errors import Internal, Unavailable


@pytest.fixture
def pool() -> BoxPool:
    return BoxPool(UPLOAD_MEMORY)


_SAYS = (
    "import json, sys, socket, time; from agent.engines.onnx import boxwire; from agent.engines.cost import Cost;"
    "from vaccel_common.modelfile import Signature; from vaccel_rpc.tensors import Tensor;"
    "channel = socket.socket(fileno=json.loads(sys.argv[1])['channel']);"
    "good = boxwire.BoxedModel(Signature('m', 'regression', None, (), (), None, None), False, Cost(1, 0, 0, 0));"
    "say = lambda *message: channel.sendall(b''.join(boxwire.message(*message)));"
)


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ("channel.sendall(b'\\xff' * 99); time.sleep(60)", "has 4294967295 bytes"),
        ("channel.sendall(b'\\x02\\0\\0\\0{]'); time.sleep(60)", "not valid JSON"),
        ("say({'signature': 5}); time.sleep(60)", "signature"),
        ("sys.exit(3)", r"^the model ended its process \(exit code 3\)$"),
    ],
)
def test_a_malformed_answer_to_a_load_is_an_error(
    tmp_path: Path, pool: BoxPool, monkeypatch: pytest.MonkeyPatch, says: str, reason: str
) -> None:
    """And the process ends."""
    monkeypatch.setattr(boxprocess, "_MAIN", _SAYS + says)
    with pytest.raises(Internal, match=reason):
        load(save(tmp_path / "m.onnx", foreign()), pool)
    assert not pool.idle


@pytest.mark.parametrize(
    "head",
    [
        "{'seconds': 0}, [[Tensor('int8', (1 << 40,), b'')]]",  # more than may be
        "{'seconds': 0}, [[Tensor('int8', (1,), b'1')]]",  # more outputs than there are
        "{'seconds': -1}, [[]]",
        "{'error': 'tea'}",
    ],
)
def test_a_malformed_answer_to_a_run_is_an_error(
    tmp_path: Path, pool: BoxPool, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    monkeypatch.setattr(boxprocess, "_MAIN", f"{_SAYS} say(boxwire.describe(good)); say({head}); time.sleep(60)")
    program = load(save(tmp_path / "m.onnx", foreign()), pool)
    (box,) = pool.idle
    with pytest.raises(Internal, match="the answer of the model's process is malformed"):
        program.run([[]], alone=False)
    wait(lambda: has_ended(box.pid))
    assert not pool.idle


def test_the_time_of_a_load_is_limited(tmp_path: Path, pool: BoxPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxprocess, "_MAIN", "import time; time.sleep(60)")
    monkeypatch.setattr(boxed, "LOAD_S", 0.2)
    with pytest.raises(Internal, match=r"to load the model took more than 0\.2 s"):
        load(save(tmp_path / "m.onnx", foreign()), pool)


def test_a_process_that_cannot_be_started_is_told(tmp_path: Path, pool: BoxPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves no descriptor open."""
    path = save(tmp_path / "m.onnx", foreign())
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(Unavailable, match="no process for the model can be started: No such file or directory"):
            load(path, pool)
    wait(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)
