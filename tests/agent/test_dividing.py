"""Requests of many texts: run in parts, answered whole. Real agents."""

from __future__ import annotations

import re
import resource
from http import HTTPStatus
from pathlib import Path

import pytest
import requests
import torch
from torch import Tensor as TorchTensor
from torch import nn

from agent.engines.layout import Layout
from function.core.problems import from_rpc
from tests.support.clients import client
from tests.support.servers import ServerProcess, SpawnAgent
from tests.support.torchmodels import MaskedSum, batchable_signature, save, signature
from vaccel_common.modelfile import parse_signature
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.errors import Internal, ResourceExhausted
from vaccel_rpc.extensions import TIMINGS
from vaccel_rpc.tensors import Tensor, from_values, to_values

_MIB = 1 << 20


class Hungry(nn.Module):
    """int64 [n] -> the same; takes 128 MiB of addresses for each row, and refuses 13."""

    def forward(self, x: TorchTensor) -> TorchTensor:
        room = torch.empty([x.size(0), 128 << 20], dtype=torch.uint8)
        if bool((x == 13).any()):
            raise ValueError("thirteen")
        return x + room.size(0) * 0


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    save(MaskedSum(), folder / "sums.pt", batchable_signature("sums"))
    save(Hungry(), folder / "hungry.pt", signature("hungry", [("x", "int64", ["n"])], [("y", "int64", ["n"])], batch="n"))
    return folder


def rows(count: int, first: int = 0) -> list[Tensor]:
    """``count`` rows of two: their number, and one more."""
    values = [value for i in range(first, first + count) for value in (i, i + 1)]
    return [from_values("int64", [count, 2], values), from_values("int64", [count, 2], [1] * (2 * count))]


def sums(count: int, first: int = 0) -> list[float]:
    return [value for i in range(first, first + count) for value in (2 * i + 1, 2)]


def largest(agent: ServerProcess) -> float:
    """The largest batch, by the histogram's buckets."""
    text = requests.get(f"http://{agent.wait_for(r'http://([^/' + chr(39) + r']+)')[1]}/metrics", timeout=10).text
    counts = [(float(edge), float(count)) for edge, count in re.findall(r'vaccel_batch_size_bucket\{le="([\d.]+)"\} (\S+)', text)]
    total = float(re.findall(r"vaccel_batch_size_count (\S+)", text)[0])
    return next(edge for edge, count in counts if count == total)


def session_of(agent: ServerProcess, model: str) -> tuple[VaccelClient, int, int]:
    calls = client(agent)
    session = calls.create_session()
    return calls, session, calls.register_path(session, model)


def test_a_request_of_many_rows_runs_in_batches_and_comes_back_whole(spawn_agent: SpawnAgent, store: Path) -> None:
    """In order, beside requests of one row, and no batch is larger than the limit."""
    agent = spawn_agent("--models", str(store), "--preload", "sums", "--max-batch", "8", "--metrics-address", "127.0.0.1:0")
    calls, session, model = session_of(agent, "sums")
    many = [calls.start_run(session, model, rows(count, count), 1, metadata={TIMINGS: "1"}) for count in (100, 9, 8, 1)]
    single = [calls.start_run(session, model, rows(1, i), 1) for i in range(40)]
    for count, run in zip((100, 9, 8, 1), many, strict=True):
        ran = run.result()
        assert ran.outputs[0].dims == (count, 2)
        assert to_values(ran.outputs[0]) == sums(count, count)
        assert ran.timings is not None
        assert 1 <= ran.timings.rows <= 8
    assert [to_values(run.result().outputs[0]) for run in single] == [sums(1, i) for i in range(40)]
    assert largest(agent) <= 8


def test_out_of_memory_for_real(spawn_agent: SpawnAgent, store: Path) -> None:
    """The agent may have so much more memory and no more: what does not fit runs in smaller batches, then and from then on."""
    agent = spawn_agent("--models", str(store), "--preload", "hungry", "--threads", "1", "--metrics-address", "127.0.0.1:0")
    calls, session, model = session_of(agent, "hungry")
    has = int(re.findall(r"VmSize:\s+(\d+) kB", Path(f"/proc/{agent.process.pid}/status").read_text())[0]) << 10
    limit = has + 5 * 128 * _MIB
    resource.prlimit(agent.process.pid, resource.RLIMIT_AS, (limit, limit))

    def run(count: int) -> list[int] | list[float]:
        return to_values(calls.run(session, model, [from_values("int64", [count], range(100, 100 + count))], 1, timeout=60)[0])

    assert run(1) == [100]
    assert run(8) == [*range(100, 108)]
    assert "No memory for 8 rows" in agent.text
    assert run(16) == [*range(100, 116)]
    assert agent.text.count("No memory") == 1, "the limit is remembered"
    with pytest.raises(Internal, match="thirteen"):
        calls.run(session, model, [from_values("int64", [3], [1, 13, 2])], 1, timeout=60)
    limit = has + 16 * _MIB
    resource.prlimit(agent.process.pid, resource.RLIMIT_AS, (limit, limit))
    with pytest.raises(ResourceExhausted, match="more memory than there is") as raised:
        run(1)
    assert raised.value.memory
    assert from_rpc(raised.value).status == HTTPStatus.BAD_GATEWAY, "to come again would not help"


@pytest.mark.parametrize(("dims", "divisible"), [(["n", 2], True), (["n", "t"], True), (["n", "k"], False), ([2, "n"], False)])
def test_only_what_can_be_put_together_again_is_divided(dims: list[int | str], divisible: bool) -> None:
    """A dimension that only the model knows may differ from part to part."""
    text = signature("m", [("x", "int64", ["n", "t"])], [("y", "float32", dims)], batch="n", length="t")
    assert Layout(parse_signature(text)).divisible == divisible
