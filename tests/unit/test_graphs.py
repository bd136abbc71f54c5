"""Batches as graphs, with a stand-in for the device that captures them: padding, checks, and what happens where they fail."""

from __future__ import annotations

import gc
import inspect
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

from agent.engines.buckets import Buckets, sizes
from agent.engines.contract import DeviceLost
from agent.engines.cost import Cost, SteppedCost, stepped
from agent.engines.layout import Layout
from agent.engines.torch.gpu import GpuProgram
from agent.engines.torch.graphs import CapturedGraph, buckets_of
from tests.support.playedgpu import PlayedCapturer, program
from tests.support.torchmodels import signature
from vaccel_common.modelfile import Signature, TensorSpec, parse_signature
from vaccel_rpc.tensors import Tensor, from_values


def request(rows: int, length: int, first: int = 1) -> list[Tensor]:
    """ids that count from ``first`` on, and a mask of ones."""
    count = rows * length
    return [from_values("int64", (rows, length), range(first, first + count)), from_values("int64", (rows, length), [1] * count)]


@pytest.fixture(scope="module")
def graphed() -> tuple[GpuProgram, PlayedCapturer]:
    """A program with graphs."""
    capturer = PlayedCapturer()
    loaded = program(capturer)
    loaded.warm_up()
    return loaded, capturer


@pytest.mark.parametrize(
    ("smallest", "largest", "expected"),
    [
        (1, 64, (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)),
        (16, 100, (16, 24, 32, 48, 64, 96, 100)),
        (16, 16, (16,)),
        (5, 9, (6, 8, 9)),
        (1, 1, (1,)),
    ],
)
def test_sizes(smallest: int, largest: int, expected: tuple[int, ...]) -> None:
    """The largest one is the last, whatever it is."""
    assert sizes(smallest, largest) == expected


def test_buckets() -> None:
    """Each shape of a batch has the smallest that holds it, and the smallest batch of a bucket is just beyond the others."""
    grid = Buckets((1, 2, 4), (16, 24), largest=64, used={(2, 24), (4, 16)})
    assert list(grid) == [(1, 16), (1, 24), (2, 16), (2, 24), (4, 16)]
    assert [grid.bucket(*shape) for shape in ((1, 1), (2, 17), (3, 16), (4, 24), (5, 1), (1, 25))] == [
        (1, 16), (2, 24), (4, 16), (4, 24), None, None,
    ]  # fmt: skip
    assert [grid.least(shape) for shape in ((1, 16), (2, 24), (4, 16))] == [(1, 1), (2, 17), (3, 1)]
    assert [grid.shape(*shape) for shape in ((2, 20), (1, 20), (9, 9))] == [(2, 24), (1, 20), (9, 9)]


def test_a_batch_costs_what_its_bucket_takes() -> None:
    """One more row in the same bucket costs nothing, and a shape without a graph is no larger than it is."""
    cost = stepped(Cost(1, 1, 1, 0), Buckets((1, 4), (8,), largest=64, used={(4, 8)}))
    assert cost.seconds(2, 3) == cost.seconds(4, 8) == 37
    assert cost.seconds(1, 3) == 5
    assert str(cost) == str(Cost(1, 1, 1, 0))


@pytest.mark.parametrize(
    ("dims", "max_length", "lengths"),
    [(["n", "t"], 128, (16, 24, 32, 48, 64, 96, 128)), (["n", "t"], 9, (9,)), (["n", 3], None, (1,)), (["n", "t"], None, (16,)),
     (["n", "height"], 64, None)],
)  # fmt: skip
def test_lengths_of_graphs(dims: list[int | str], max_length: int | None, lengths: tuple[int, ...] | None) -> None:
    """Up to the model's longest input and no further; none where an input has a dimension of its own."""
    text = signature("m", [("x", "float32", dims)], [("y", "float32", ["n", 2])], batch="n", length="t" if "t" in dims else None)
    found = buckets_of(parse_signature(text.replace('"max_length": 64', f'"max_length": {max_length or "null"}')))
    assert (found.lengths if found else None) == lengths


@pytest.mark.parametrize(
    ("dims", "batch", "filled"),
    [
        (("n", "t"), [[1, 2], [3, 4]], [[1, 2, 9], [3, 4, 9], [1, 2, 9], [1, 2, 9]]),
        (("n", "t"), [[1, 2, 3]], [[1, 2, 3]] * 4),
        (("t", "n"), [[1, 2], [3, 4]], [[1, 2, 1, 1], [3, 4, 3, 3], [9, 9, 9, 9]]),
    ],
)
def test_a_batch_fills_its_graph(dims: tuple[int | str, ...], batch: list[list[int]], filled: list[list[int]]) -> None:
    """With padding, and with its first row instead of what was there before."""
    specs = TensorSpec("x", "int64", dims, 9), TensorSpec("y", "int64", ("n",))
    layout = Layout(Signature("m", "regression", None, specs[:1], specs[1:], batch="n", length="t"))
    shape = (4, 3) if dims[0] == "n" else (3, 4)
    host, device, outputs = torch.full(shape, 77), torch.zeros(shape, dtype=torch.int64), torch.arange(4)
    graph = CapturedGraph([host], [device], [outputs], lambda: None)
    tensor = torch.tensor(batch)
    rows, length = (tensor.shape[dims.index(dim)] for dim in ("n", "t"))
    (answer,) = graph.run(layout, [tensor], rows, length)
    assert device.tolist() == filled
    assert answer.tolist() == list(range(rows))
    # The next run writes over the outputs, not over the answer.
    assert answer.untyped_storage().data_ptr() != outputs.untyped_storage().data_ptr()


@pytest.mark.parametrize(
    "shapes", [[(1, 1)], [(1, 16)], [(1, 17)], [(3, 24)], [(1, 3), (2, 9), (1, 1)], [(64, 5)], [(30, 16), (30, 2)], [(65, 3)]]
)
def test_a_graph_answers_as_the_program_does(graphed: tuple[GpuProgram, PlayedCapturer], shapes: list[tuple[int, int]]) -> None:
    """Alone and joined, in the middle of a bucket and at its edges; what no graph holds is run as it is."""
    loaded, capturer = graphed
    requests = [request(*shape, first=i + 1) for i, shape in enumerate(shapes)]
    before = capturer.replays
    assert loaded.run(requests, alone=False).outputs == program(None).run(requests, alone=False).outputs
    assert capturer.replays - before == (sum(rows for rows, _ in shapes) <= 64)


def test_the_cost_is_of_the_shapes_that_ran(graphed: tuple[GpuProgram, PlayedCapturer]) -> None:
    """So that a batch is filled as far as its graph goes."""
    cost = graphed[0].cost
    assert isinstance(cost, SteppedCost)
    assert [cost.buckets.shape(*shape) for shape in ((5, 17), (65, 17))] == [(6, 24), (65, 17)]
    assert cost.seconds(5, 17) == cost.seconds(6, 24) > 0


def test_one_replay_at_a_time(graphed: tuple[GpuProgram, PlayedCapturer]) -> None:
    """Whatever number of threads runs a program."""
    loaded, capturer = graphed
    expected = {n: program(None).run([request(1, n, n)], alone=False).outputs for n in range(1, 9)}
    wrong: list[int] = []

    def work(length: int) -> None:
        answers = [loaded.run([request(1, length, length)], alone=False).outputs for _ in range(20)]
        wrong.extend(length for answer in answers if answer != expected[length])

    threads = [threading.Thread(target=work, args=(length,)) for length in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (wrong, capturer.overlaps) == ([], 0)


def _raises(error: BaseException, at: int = 1) -> Callable[[PlayedCapturer], None]:
    def change(capturer: PlayedCapturer) -> None:
        def fail() -> None:
            if capturer.memory + 1 == at:
                try:
                    raise error
                finally:
                    # As torch does when it ends a capture that has failed.
                    raise RuntimeError("CUDA error: operation failed due to a previous error during capture")

        capturer.fail = fail

    return change


def _spoils(value: float) -> Callable[[PlayedCapturer], None]:
    def change(capturer: PlayedCapturer) -> None:
        capturer.spoil = lambda outputs: outputs[0].add_(value)

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            _raises(RuntimeError("operation not permitted when stream is capturing")),
            "operation not permitted when stream is capturing",
        ),
        (_raises(torch.OutOfMemoryError("CUDA out of memory."), at=3), "CUDA out of memory."),
        (_spoils(0.01), "that of 1 rows of 16 tokens changes its answers by 0.01"),
        (_spoils(float("nan")), "that of 1 rows of 16 tokens changes its answers by nan"),
    ],
)
def test_what_cannot_be_captured_runs_without_graphs(
    change: Callable[[PlayedCapturer], None], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """All of it, and one line says why."""
    capturer = PlayedCapturer()
    change(capturer)
    loaded = program(capturer)
    with caplog.at_level(logging.INFO, "agent.engines.torch"):
        loaded.warm_up()
    assert [line for line in caplog.messages if "graphs" in line] == [f"launched runs without graphs: {reason}"]
    before = capturer.replays
    assert loaded.run([request(2, 3)], alone=False).outputs == program(None).run([request(2, 3)], alone=False).outputs
    assert capturer.replays == before
    assert loaded.joinable


def test_graphs_that_are_no_quicker_are_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """Larger batches would gain less, so no more is captured after a few."""
    capturer = PlayedCapturer()
    loaded = program(capturer, replays_are_slow=True)
    with caplog.at_level(logging.INFO, "agent.engines.torch"):
        loaded.warm_up()
    assert "launched runs without graphs: they are no quicker" in caplog.messages
    assert capturer.memory == 3


def test_graphs_end_at_their_memory() -> None:
    """What was captured until then stays."""
    capturer = PlayedCapturer(limit=3)
    loaded = program(capturer)
    loaded.warm_up()
    assert capturer.memory == 4
    before = capturer.replays
    loaded.run([request(1, 3)], alone=False)
    loaded.run([request(64, 24)], alone=False)
    assert capturer.replays == before + 1


def test_a_device_that_is_lost_in_a_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model does not load, so that the agent ends."""
    capturer = PlayedCapturer()
    loaded = program(capturer)

    def lose() -> None:
        monkeypatch.setattr(loaded._device, "device", torch.device("cuda:7"))
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    capturer.fail = lose
    with pytest.raises(DeviceLost, match="illegal memory access"):
        loaded.warm_up()


def test_torch_has_the_calls_of_cuda() -> None:
    """By the names and parameters with which they are called, as no test here can call them."""
    cuda: Any = torch.cuda
    inspect.signature(cuda.graph).bind(None, pool=None, stream=None, capture_error_mode="thread_local")
    inspect.signature(cuda.memory_snapshot).bind(include_traces=False)
    inspect.signature(cuda.is_bf16_supported).bind(including_emulation=False)
    for name in ("Stream", "device", "stream", "synchronize", "get_device_properties", "memory_reserved"):
        inspect.signature(getattr(cuda, name)).bind(torch.device("cuda"))
    for name in ("graph_pool_handle", "CUDAGraph", "empty_cache"):
        inspect.signature(getattr(cuda, name)).bind()
    assert callable(cuda.CUDAGraph.replay)


def test_graphs_leave_with_their_program() -> None:
    """And all their tensors, without a search for cycles."""
    capturer = PlayedCapturer(limit=1)
    loaded = program(capturer)
    loaded.warm_up()
    graphs, cost = weakref.ref(loaded._graphs), loaded.cost
    assert graphs() is not None
    gc.disable()
    try:
        del loaded
        assert graphs() is None
    finally:
        gc.enable()
    assert cost.seconds(1, 16) > 0
