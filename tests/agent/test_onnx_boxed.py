"""A client's ONNX model that crashes, hangs or takes all memory fails alone."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from agent.engines.arrays import to_array
from agent.engines.contract import UPLOAD_MEMORY
from agent.engines.onnx import boxed, loading
from agent.engines.onnx.boxed import BoxedProgram
from agent.engines.onnx.boxpool import BoxPool
from agent.engines.onnx.engine import OnnxEngine
from tests.support.onnxmodels import INT64, constant, expected, external, foreign, info, model
from tests.support.paths import ROOT
from vaccel_rpc.errors import Internal, InvalidArgument, ResourceExhausted
from vaccel_rpc.tensors import MAX_RANK, Tensor, from_values

LEAST = -(2**63)
TEXT = [from_values("int64", [1, 2], [3, 4]), from_values("int64", [1, 2], [1, 1])]


def numbers(*values: int) -> Tensor:
    return from_values("int64", [len(values)], values)


def dividing() -> onnx.ModelProto:
    """A kernel that ends its process where it divides the least number by -1."""
    node = helper.make_node("Div", ["x", "d"], ["y"])
    return model([node], [info("x", INT64, ["n"]), info("d", INT64, ["n"])], [info("y", INT64, ["n"])])


def multiplying() -> onnx.ModelProto:
    """A product of square matrices of int64 by one operator, within which onnxruntime ends no run."""
    nodes = [
        helper.make_node("Concat", ["x", "x"], ["size"], axis=0),
        helper.make_node("ConstantOfShape", ["size"], ["m"], value=helper.make_tensor("v", INT64, [1], [1])),
        helper.make_node("MatMul", ["m", "m"], ["p"]),
        helper.make_node("ReduceMax", ["p"], ["y"], keepdims=0),
    ]
    return model(nodes, [info("x", INT64, [1])], [info("y", INT64, [])])


def counting() -> onnx.ModelProto:
    """A kernel that takes 64 times its input of memory, besides its tensors."""
    ones = constant("ones", np.ones(7, np.int64))
    nodes = [
        helper.make_node("Concat", ["x", "ones"], ["size"], axis=0),
        helper.make_node("ConstantOfShape", ["size"], ["c"], value=helper.make_tensor("v", TensorProto.BOOL, [1], [True])),
        helper.make_node("NonZero", ["c"], ["n"]),
        helper.make_node("Shape", ["n"], ["y"]),
    ]
    return model(nodes, [info("x", INT64, [1])], [info("y", INT64, [2])], [ones])


def save(path: Path, content: onnx.ModelProto) -> Path:
    onnx.save(content, path)
    return path


@pytest.fixture
def pool() -> BoxPool:
    return BoxPool(UPLOAD_MEMORY)


def load(path: Path, pool: BoxPool, memory: int = UPLOAD_MEMORY) -> BoxedProgram:
    return BoxedProgram(path, "m", 1, memory, pool)


def answer(program: BoxedProgram, *inputs: Tensor) -> Any:
    return to_array(program.run([inputs], alone=False).outputs[0][0]).tolist()


def wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_run_that_ends_its_process_fails_alone(tmp_path: Path, pool: BoxPool) -> None:
    """The sender is told the signal, and the next runs of the model and of another one are answered."""
    program, other = load(save(tmp_path / "m.onnx", dividing()), pool), load(save(tmp_path / "good.onnx", foreign()), pool)
    for _ in range(2):
        with pytest.raises(Internal, match=r"^the model ended its process \(SIGFPE\)$"):
            answer(program, numbers(LEAST), numbers(-1))
        assert answer(program, numbers(7), numbers(2)) == [3]
        assert np.allclose(answer(other, *TEXT), expected(3, 4), atol=1e-5)


def test_a_run_that_hangs_fails_alone(tmp_path: Path, pool: BoxPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process is ended, even within an operator."""
    program = load(save(tmp_path / "m.onnx", multiplying()), pool)
    (hanging,) = pool.idle
    monkeypatch.setattr(boxed, "RUN_S", 0.5)
    with pytest.raises(Internal, match=r"took more than 0\.5 s, the limit for a model that a client sent"):
        answer(program, numbers(4000))
    wait(lambda: has_ended(hanging.pid))
    monkeypatch.undo()
    assert answer(program, numbers(3)) == 3


def test_a_run_without_memory_fails_alone(tmp_path: Path, pool: BoxPool) -> None:
    """Also where a kernel takes it besides its tensors; what fits is run."""
    program = load(save(tmp_path / "m.onnx", counting()), pool, 512 << 20)
    with pytest.raises(ResourceExhausted, match="needs more memory than there is") as caught:
        answer(program, numbers(100_000_000))
    assert caught.value.memory
    assert answer(program, numbers(1000)) == [8, 1000]


def test_a_model_is_loaded_within_the_limits(tmp_path: Path, pool: BoxPool) -> None:
    """And what cannot be loaded is refused with the reason, without a place of the agent's."""
    with pytest.raises(ResourceExhausted, match="memory"):
        load(save(tmp_path / "m.onnx", foreign()), pool, -(246 << 20))
    (tmp_path / "half.onnx").write_bytes(foreign().SerializeToString()[:-60])
    with pytest.raises(InvalidArgument) as caught:
        load(tmp_path / "half.onnx", pool)
    assert str(tmp_path) not in caught.value.message
    assert pool.resident == 0
    assert not pool.idle


def test_two_workers_have_a_process_each(tmp_path: Path, pool: BoxPool) -> None:
    """Which wait for the next runs, and end with the program."""
    program = load(save(tmp_path / "m.onnx", multiplying()), pool)
    with ThreadPoolExecutor(2) as workers:
        assert list(workers.map(partial(answer, program), [numbers(1200)] * 2)) == [1200, 1200]
    pids = [box.pid for box in pool.idle]
    assert len(pids) == 2
    assert answer(program, numbers(3)) == 3
    assert {box.pid for box in pool.idle} == set(pids)
    assert pool.resident > 10 << 20
    del program
    gc.collect()
    wait(lambda: all(map(has_ended, pids)) and not pool.idle and not pool.resident)


def test_idle_processes_end_when_they_take_too_much_memory(tmp_path: Path) -> None:
    """The one that was unused for longest first; its model starts another, and still counts as much."""
    pool = BoxPool(UPLOAD_MEMORY)
    path = save(tmp_path / "m.onnx", foreign())
    first = load(path, pool)
    of_one = pool.resident
    pool = BoxPool(5 * of_one // 2)
    programs = [load(path, pool) for _ in range(2)]
    boxes = pool.idle
    answer(programs[0], *TEXT)
    assert pool.idle == boxes[::-1]
    programs.append(load(path, pool))
    wait(lambda: has_ended(boxes[1].pid))
    assert not has_ended(boxes[0].pid)
    assert pool.resident > 2 * of_one
    for program in (first, *programs):
        assert np.allclose(answer(program, *TEXT), expected(3, 4), atol=1e-5)


def test_a_process_that_ended_while_it_waited_is_replaced(tmp_path: Path, pool: BoxPool) -> None:
    program = load(save(tmp_path / "m.onnx", foreign()), pool)
    os.kill(pool.idle[0].pid, signal.SIGKILL)
    wait(lambda: not pool.idle[0].alive)
    assert np.allclose(answer(program, *TEXT), expected(3, 4), atol=1e-5)


def test_a_process_ends_with_a_killed_agent(tmp_path: Path) -> None:
    """While it computes."""
    code = (
        "import sys; from pathlib import Path; from agent.engines.onnx.boxed import BoxedProgram; import threading;"
        "from agent.engines.onnx.boxpool import BoxPool; from vaccel_rpc.tensors import from_values; pool = BoxPool(1 << 31);"
        "program = BoxedProgram(Path(sys.argv[1]), 'm', 1, 1 << 31, pool); print(pool.idle[0].pid, flush=True);"
        "program.run([[from_values('int64', [1], [6000])]], alone=False)"
    )
    path = save(tmp_path / "m.onnx", multiplying())
    with subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout
        pid = int(agent.stdout.readline())
        before = _cpu_ticks(pid)
        wait(lambda: _cpu_ticks(pid) > before + 20)
        agent.kill()
    wait(lambda: has_ended(pid))


def _cpu_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def test_processes_load_the_same_content_for_as_long_as_the_model_runs(tmp_path: Path, pool: BoxPool) -> None:
    """By links to descriptors that the agent has opened and closes, with external data, once both names are gone."""
    folder = tmp_path / "links"
    folder.mkdir()
    held = external("w.bin")
    contents = {"m.onnx": held.SerializeToString(), "w.bin": foreign().graph.initializer[0].raw_data}
    fds = []
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        fds.append(os.open(tmp_path / name, os.O_RDONLY))
        (folder / name).symlink_to(f"/proc/self/fd/{fds[-1]}")
    program = load(folder / "m.onnx", pool)
    for path in (*folder.iterdir(), tmp_path / "m.onnx", tmp_path / "w.bin"):
        path.unlink()
    for fd in fds:
        os.close(fd)
    os.kill(pool.idle[0].pid, signal.SIGKILL)
    assert program.signature.name == "m"
    wait(lambda: not pool.idle[0].alive)
    assert np.allclose(answer(program, *TEXT), expected(3, 4), atol=1e-5)


def test_batches_are_the_models_own(tmp_path: Path, pool: BoxPool) -> None:
    """Requests are joined in the process, and the cost and what may be joined are those that it measured."""
    path = save(tmp_path / "m.onnx", foreign())
    program, own = load(path, pool), loading.load(path, 1)
    assert program.signature == own.signature
    assert program.joinable
    assert program.cost.a > 0
    requests = [TEXT, [from_values("int64", [1, 3], [5, 6, 7]), from_values("int64", [1, 3], [1, 1, 1])]]
    batch = program.run(requests, alone=True)
    assert batch.ended > batch.began
    for outputs, words in zip(batch.outputs, ((3, 4), (5, 6, 7)), strict=True):
        assert np.allclose(to_array(outputs[0])[0], expected(*words), atol=1e-5)
    assert not load(save(tmp_path / "mean.onnx", foreign(masked=False)), pool).joinable


@pytest.mark.parametrize("rank", [MAX_RANK, MAX_RANK + 1])
def test_outputs_have_the_same_limit_both_ways(tmp_path: Path, pool: BoxPool, rank: int) -> None:
    """In the agent's process and in one of the model's own: as many dimensions as a client takes, else the same error."""
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    shape = constant("shape", np.array([-1] + [1] * (rank - 1)))
    outputs = [info("y", INT64, [f"d{i}" for i in range(rank)])]
    path = save(tmp_path / "m.onnx", model([node], [info("x", INT64, ["n"])], outputs, [shape]))
    for program in (loading.load(path, 1), load(path, pool)):
        if rank == MAX_RANK:
            assert program.run([[numbers(1, 2)]], alone=False).outputs[0][0].dims == (2, *[1] * (rank - 1))
            continue
        with pytest.raises(Internal) as failed:
            program.run([[numbers(1, 2)]], alone=False)
        assert failed.value.message == "an output has 17 dimensions; at most 16 are sent"


def test_an_engine_counts_the_memory_of_its_models(tmp_path: Path) -> None:
    engine = OnnxEngine("cpu", 1)
    before = engine.memory_used()
    program = engine.load_upload(save(tmp_path / "m.onnx", foreign()), UPLOAD_MEMORY, "m")
    assert engine.memory_used() - before > 10 << 20
    assert program.signature


def test_the_limits_of_the_process(tmp_path: Path) -> None:
    """Memory by the files' size and the threads; no file of its own, and no limit of CPU time."""
    (tmp_path / "file").write_bytes(bytes(1 << 20))
    code = (
        "import os, resource as r, sys; from agent.engines.onnx.box import BoxArguments, _limit;"
        "_limit(BoxArguments(0, 0, os.open(sys.argv[1], 0), 'm', {}, 4, 300 << 20, True));"
        "print(*(r.getrlimit(kind)[1] for kind in (r.RLIMIT_AS, r.RLIMIT_FSIZE, r.RLIMIT_CORE, r.RLIMIT_CPU)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "file")], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str((300 + 4 + 256 + 4 * 16) << 20), "0", "0", "-1"]
