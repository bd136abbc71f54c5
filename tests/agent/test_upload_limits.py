"""What clients send in one file or several is tried first, and runs within limits."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import threading
import time
from pathlib import Path

import onnx
import pytest
from onnx import helper

from agent.engines.onnx import uploads
from tests.agent.test_onnx_boxed import TEXT, dividing, has_ended, numbers, wait
from tests.agent.test_onnx_uploads import X, Y, custom, endless, filled, loop
from tests.support.clients import client
from tests.support.formplugin import write
from tests.support.onnxmodels import FLOAT, INT64, foreign, info, model
from tests.support.servers import SpawnAgent
from vaccel_rpc.errors import Internal, InvalidArgument, PermissionDenied, ResourceExhausted, Unavailable
from vaccel_rpc.tensors import from_values, to_values

pytest.importorskip("onnxruntime")
MIB = 1 << 20
Files = list[tuple[str, bytes]]


def in_two(made: onnx.ModelProto) -> Files:
    """The model, and a file ``w.bin`` that has a weight of it, 4 KB of zeros."""
    weight = onnx.TensorProto(name="outside", data_type=FLOAT, dims=[1024], data_location=onnx.TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="w.bin")
    made.graph.initializer.append(weight)
    made.graph.node.append(helper.make_node("Identity", ["outside"], ["unused"]))
    made.graph.output.append(info("unused", FLOAT, [1024]))
    return [("m.onnx", made.SerializeToString()), ("w.bin", bytes(4096))]


def filling() -> onnx.ModelProto:
    """A vector of as many numbers as a request says; its size."""
    nodes = [helper.make_node("ConstantOfShape", ["size"], ["c"]), helper.make_node("Shape", ["c"], ["y"])]
    return model(nodes, [info("size", INT64, [1])], [info("y", INT64, [1])])


@pytest.mark.timeout(250)
@pytest.mark.parametrize(
    ("made", "says"),
    [
        (loop(), "the operator 'Loop'"),
        (custom(), r"the operator 'evil\.Shell'"),
        (filled(1 << 33), "memory"),
        (endless(), "more than 10 s of CPU time"),
    ],
    ids=["operator", "library", "memory", "time"],
)
def test_a_hostile_model_of_two_files_is_refused(spawn_agent: SpawnAgent, made: onnx.ModelProto, says: str) -> None:
    """As it would be in one file; the agent goes on."""
    agent = spawn_agent("--uploads", "allow")
    calls = client(agent)
    session = calls.create_session()
    with pytest.raises(InvalidArgument, match=f"the ONNX file is refused: .*{says}"):
        calls.register_files(session, in_two(made), timeout=120)
    assert calls.register_bytes(session, foreign().SerializeToString())
    assert "Traceback" not in agent.text


@pytest.mark.parametrize("files", [[("m.onnx", filling().SerializeToString())], in_two(filling())], ids=["one", "two"])
def test_the_memory_of_runs_at_its_edge(spawn_agent: SpawnAgent, files: Files) -> None:
    """The last size that fits --max-upload-memory, and the first that does not; the next run is right again."""
    calls = client(spawn_agent("--uploads", "allow", "--max-upload-memory", "256"))
    session = calls.create_session()
    resource = calls.register_files(session, files)

    def run(size: int) -> None:
        calls.run(session, resource, [from_values("int64", [1], [size])], len(files))

    run(255 * MIB // 4)
    with pytest.raises(ResourceExhausted, match="needs more memory"):
        run(256 * MIB // 4 + 1024)
    run(1024)


def test_the_trials_memory_is_that_option(tmp_path: Path) -> None:
    """What does not fit it is refused, by a line that names it; the smallest is enough for a small model."""
    uploads.check_upload(_written(tmp_path / "small", foreign()), (), 256 * MIB)
    made = _written(tmp_path / "large", filled(600 * MIB // 4))
    with pytest.raises(InvalidArgument, match="memory"):
        uploads.check_upload(made, (), 256 * MIB)
    uploads.check_upload(made, (), 2048 * MIB)


def test_other_files_than_the_model_names_are_refused(tmp_path: Path) -> None:
    """In the trial, too: by it a model sees no files but those that came with it."""
    path = _written(tmp_path / "m.onnx", onnx.load_model_from_string(in_two(model([], [X], [Y]))[0][1]))
    (tmp_path / "other.bin").write_bytes(bytes(4096))
    with pytest.raises(InvalidArgument, match="other external data than the files that came with it"):
        uploads.check_upload(path, ["other.bin"], 256 * MIB)


def test_a_trial_that_nobody_waits_for_ends(tmp_path: Path) -> None:
    """Its process, too, long before it has taken the CPU time that it may."""
    given_up, began = threading.Event(), time.monotonic()
    threading.Timer(0.3, given_up.set).start()
    with pytest.raises(Unavailable, match="given up"):
        uploads.check_upload(_written(tmp_path / "endless", endless()), (), 256 * MIB, given_up)
    assert time.monotonic() - began < 8
    assert str(tmp_path) not in "".join(path.read_text() for path in Path("/proc").glob("[0-9]*/cmdline") if _is_child(path))


def _is_child(path: Path) -> bool:
    """Whether it is of a process that this one started."""
    with contextlib.suppress(OSError):
        return path.with_name("stat").read_text().rpartition(")")[2].split()[1] == str(os.getpid())
    return False


def test_an_engines_own_check_is_asked_for_several_files_too(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """A plugin says which of them may be loaded."""
    calls = client(spawn_agent("--plugin", "tests.support.formplugin", "--uploads", "allow"))
    session = calls.create_session()
    for fails in ("", "upload"):
        form = write(tmp_path / "m.form", refers=["a"], fails=fails).read_bytes()
        if fails:
            with pytest.raises(InvalidArgument, match="this form may not be sent"):
                calls.register_files(session, [("m.form", form), ("a", b"1")])
        else:
            assert calls.register_files(session, [("m.form", form), ("a", b"1")])


def _written(path: Path, made: onnx.ModelProto) -> Path:
    data = io.BytesIO()
    onnx.save(made, data)
    path.write_bytes(data.getvalue())
    return path


def test_a_run_that_ends_its_process_is_its_senders(spawn_agent: SpawnAgent) -> None:
    """It gets the signal's name; the agent goes on, and ends its other processes when it ends."""
    agent = spawn_agent("--uploads", "data")
    calls, others = client(agent), client(agent)
    session, other = calls.create_session(), others.create_session()
    resource = calls.register_bytes(session, dividing().SerializeToString())
    good = others.register_bytes(other, foreign().SerializeToString())

    def divide(numerator: int, divisor: int) -> list[int] | list[float]:
        return to_values(calls.run(session, resource, [numbers(numerator), numbers(divisor)], 1)[0])

    assert divide(7, 2) == [3]
    with pytest.raises(Internal, match=r"the model ended its process \(SIGFPE\)"):
        divide(-(2**63), -1)
    assert others.run(other, good, TEXT, 1)
    assert divide(8, 2) == [4]
    processes = children(agent.process.pid)
    assert len(processes) == 2
    agent.process.kill()
    wait(lambda: all(map(has_ended, processes)))


@pytest.mark.parametrize("masked", [True, False], ids=["joined", "alone"])
def test_the_log_calls_a_model_by_its_clients_name(spawn_agent: SpawnAgent, masked: bool) -> None:
    """Escaped, in every line about it; no line has the name of our file."""
    agent = spawn_agent("--uploads", "data")
    calls = client(agent)
    session = calls.create_session()
    data = foreign(masked=masked).SerializeToString()
    calls.run(session, calls.register_bytes(session, data, "a\n[b.v2.onnx"), TEXT, 1)
    name = r"a\\n\[b\.v2"
    agent.wait_for(rf"A batch of {name} takes" if masked else rf"Padding changes the answers of {name}, or it failed")
    agent.wait_for(rf"Loaded model {name} \(sha256")
    assert hashlib.sha256(data).hexdigest() not in agent.text
    assert "\n[b" not in agent.text


def children(pid: int) -> list[int]:
    """The processes that a process has started and that have not ended."""
    found = [path.parent for path in Path("/proc").glob("[0-9]*/stat") if not has_ended(int(path.parent.name))]
    return [int(place.name) for place in found if _parent(place) == pid]


def _parent(place: Path) -> int | None:
    try:
        return int((place / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


@pytest.mark.parametrize("policy", ["allow", "data"])
def test_a_damaged_onnx_file_is_told_that_it_is_none(spawn_agent: SpawnAgent, policy: str) -> None:
    """Nothing in front of one tells what it was to be: the error names every kind that is accepted, this one too."""
    calls = client(spawn_agent("--uploads", policy))
    session, whole = calls.create_session(), foreign().SerializeToString()
    for damaged in (whole[: len(whole) // 2], whole + b"\0"):
        with pytest.raises(InvalidArgument if policy == "allow" else PermissionDenied, match=r"^the bytes are not .*\bONNX file"):
            calls.register_bytes(session, damaged, "t.onnx")
    assert calls.register_bytes(session, whole, "t.onnx")
