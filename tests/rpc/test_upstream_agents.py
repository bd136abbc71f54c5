"""Our client against upstream's agents, played with their recorded bytes: what it sends, and how it reads what they answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.playedagent import Cut, PlayedAgent, Transport, header_and_message, played, replay, single_bytes
from tests.support.recorded import WIRE, Recording, recording
from vaccel_rpc.addresses import parse
from vaccel_rpc.channels import connect
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.dialects import Version, dialect
from vaccel_rpc.errors import Internal, InvalidArgument, NotFound, RpcError
from vaccel_rpc.proto.ttrpc_pb2 import Request, Response
from vaccel_rpc.tensors import Tensor, dtype_name, to_values

#: Sessions of our client with upstream's agents, and of upstream's clients with the same agents.
OURS: dict[str, Version] = {"upstream-agent-0.7": "0.7", "upstream-agent-0.8-typed": "0.8"}
THEIRS: dict[str, Version] = {"upstream-both-0.7": "0.7", "upstream-both-0.8": "0.8"}
#: The input of ``affine.pt`` in every recording.
ROW = [0, 1, -2.5, 100]
NOOP = (Internal, "FFI error: 22", 22)


def message_of(version: Version, request: Request) -> Any:
    """The message in a call."""
    method = next(method for method in dialect(version).methods.values() if method.name == request.method)
    return method.request.FromString(request.payload)


def requests_of(session: Recording) -> list[Request]:
    """The calls that a recording's client made."""
    return [Request.FromString(bytes(frame.data)) for frame in session.frames("client") if frame.type == 1]


def register(client: VaccelClient, message: Any) -> int | None:
    """Registers what a request names: a path, a file's bytes, or a resource for one more session."""
    files = message.files if client.version == "0.7" else message.blobs
    if message.paths:
        return client.register_path(message.session_id, message.paths[0])
    if files:
        return client.register_bytes(message.session_id, files[0].data, files[0].name)
    client.register_again(message.session_id, message.resource_id)
    return None


def run(client: VaccelClient, message: Any) -> list[Tensor]:
    """Runs what a request names."""
    inputs = [Tensor(dtype_name(tensor.type, "a recording"), tuple(tensor.dims), tensor.data) for tensor in message.in_tensors]
    outputs = message.nr_outputs if client.version == "0.7" else message.nr_out_tensors
    return client.run(message.session_id, message.model_id, inputs, outputs)


def genop(client: VaccelClient, message: Any) -> list[bytes]:
    """The operation that a request names, with the same arguments."""
    return client.genop(message.session_id, [arg.buf for arg in message.read_args], [arg.buf for arg in message.write_args])


#: A method, and how our client makes a recorded call of it again.
CALLS: dict[str, Callable[[VaccelClient, Any], Any]] = {
    "CreateSession": lambda client, message: client.create_session(message.flags),
    "UpdateSession": lambda client, message: client.update_session(message.session_id, message.flags),
    "DestroySession": lambda client, message: client.destroy_session(message.session_id),
    "RegisterResource": register,
    "UnregisterResource": lambda client, message: client.unregister(message.session_id, message.resource_id),
    "SyncResource": lambda client, message: client.sync(message.resource_id),
    "TorchModelLoad": lambda client, message: client.load(message.session_id, message.model_id),
    "TorchModelRun": run,
    "TorchJitloadForward": run,
    "GetProfiler": lambda client, message: client.profile(message.session_id),
    "GetTimers": lambda client, message: client.profile(message.session_id),
    "Genop": genop,
    # Its data frames are no messages of their own in a recording; all of ours were the operation 0 in session 1.
    "GenopStream": lambda client, _: client.genop_stream(1, [client.opcode(0)]),
}


def outcome(client: VaccelClient, request: Request) -> Any:
    """What our client makes of a call's answer: its result, or (class, message, errno) of its error."""
    try:
        return CALLS[request.method](client, message_of(client.version, request))
    except RpcError as error:
        return type(error), error.message, error.errno


def play(
    name: str, folder: Path, transport: Transport = "unix", cut: Cut = header_and_message
) -> tuple[Recording, PlayedAgent, list[tuple[str, Any]]]:
    """Makes a recording's calls again: the recording, the agent that was called, each method with its outcome."""
    session = recording(name)
    with played(replay(session), folder, transport, cut) as agent:
        client = VaccelClient(connect(parse(agent.address), 5), (OURS | THEIRS)[name])
        outcomes = [(request.method, outcome(client, request)) for request in requests_of(session)]
        client.close()
    return session, agent, outcomes


@pytest.mark.parametrize("transport", ["unix", "tcp"])
@pytest.mark.parametrize("name", OURS)
def test_our_client_sends_what_was_recorded(tmp_path: Path, name: str, transport: Transport) -> None:
    """The calls of our client, made again, are the same bytes."""
    session, agent, _ = play(name, tmp_path, transport)
    assert bytes(agent.received) == session.sent("client")


@pytest.mark.parametrize("name", THEIRS)
def test_our_client_sends_what_upstreams_sends(tmp_path: Path, name: str) -> None:
    """The calls of upstream's clients, made by ours, are the same messages, but for what our client does not say: a file's path,
    whether its bytes were in memory before, and the types of an operation's arguments."""
    session, agent, _ = play(name, tmp_path)
    for theirs, ours in zip(requests_of(session), agent.requests, strict=True):
        expected, sent = message_of(THEIRS[name], theirs), message_of(THEIRS[name], ours)
        if theirs.method == "RegisterResource" and THEIRS[name] == "0.7":
            for file in expected.files:
                file.ClearField("path")
                file.ClearField("path_owned")
        elif theirs.method == "RegisterResource":
            for blob in expected.blobs:
                blob.type_ = 2
        elif theirs.method == "Genop":
            for arg in [*expected.read_args[1:], *expected.write_args]:
                arg.ClearField("arg_type" if THEIRS[name] == "0.8" else "argtype")
        assert (ours.service, ours.method, sent) == (theirs.service, theirs.method, expected)


@pytest.mark.parametrize("cut", [header_and_message, single_bytes])
@pytest.mark.parametrize("transport", ["unix", "tcp"])
@pytest.mark.parametrize("name", OURS)
def test_the_answers_to_our_client_are_understood(tmp_path: Path, name: str, transport: Transport, cut: Cut) -> None:
    """Ids, outputs, a file's bytes, an empty profile and every error, in both dialects, however the agent writes."""
    _, _, outcomes = play(name, tmp_path, transport, cut)
    results = [result for _, result in outcomes]
    [one], [two] = [result for method, result in outcomes if method in ("TorchJitloadForward", "TorchModelRun")][:2]
    assert (one.dims, to_values(one)) == ((1, 4), ROW)
    assert (two.dtype, two.dims, to_values(two)[:4]) == ("int64", (1, 32), [101, 1184, 170, 9929])
    start = [1, 2, None, NOOP, 2, 3, 4, None]
    unknown = (NotFound, "Unknown session 4242", None)
    if OURS[name] == "0.7":
        stream = (InvalidArgument, "/vaccel.AgentService/GenopStream does not exist", None)
        model = (NotFound, "Unknown PyTorch model 999", None)
        assert results == [*start, [one], [two], {}, NOOP, stream, unknown, model, *[None] * 4]
    else:
        stream = (InvalidArgument, "/vaccel.asynchronous.agent.AgentService/GenopStream does not exist", None)
        model = (NotFound, "Unknown Py model 999", None)
        sent = (WIRE / "affine.pt").read_bytes()
        assert results == [*start, None, [one], [two], sent, {}, NOOP, stream, unknown, model, *[None] * 4]


@pytest.mark.parametrize("name", THEIRS)
def test_the_answers_to_upstreams_clients_are_understood(tmp_path: Path, name: str) -> None:
    """Upstream's agents answer upstream's clients: ids, outputs, the file's bytes, errors, alike in both dialects."""
    _, _, outcomes = play(name, tmp_path)
    by_method: dict[str, list[Any]] = {}
    for method, result in outcomes:
        by_method.setdefault(method, []).append(result)
    runs = by_method["TorchJitloadForward" if THEIRS[name] == "0.7" else "TorchModelRun"]
    rows = [to_values(result[0]) if isinstance(result, list) else result for result in runs]
    assert rows[:4] == [ROW, ROW, ROW, (NotFound, "Unknown session 4242", None)]
    assert [len(row) for row in rows[4:]] == [32, 32, 4]
    assert by_method["RegisterResource"] == [1, None, (Internal, "FFI error: 121", 121), 3, 4]
    assert set(by_method["Genop"]) == {NOOP}
    assert by_method.get("SyncResource", []) == ([] if THEIRS[name] == "0.7" else [(WIRE / "affine.pt").read_bytes()])


def test_a_synced_file_without_bytes_is_an_error(tmp_path: Path) -> None:
    """An answer that holds no file is the agent's failure, not an exception of another kind."""
    with played(lambda *_: Response().SerializeToString(), tmp_path) as agent:
        client = VaccelClient(connect(parse(agent.address), 5))
        with pytest.raises(Internal, match="no blob"):
            client.sync(1, 5)
        client.close()


def test_an_answer_in_two_writes_is_not_delayed(tmp_path: Path) -> None:
    """Over TCP the second write of an answer does not wait for a delayed acknowledgement of the first (40 ms)."""
    message = Response(payload=b"x").SerializeToString()
    with played(lambda *_: message, tmp_path, "tcp") as agent:
        channel = connect(parse(agent.address), 5)
        seconds = []
        for _ in range(40):
            began = time.monotonic()
            assert channel.start("s", "m", [b"x"], 5).result() == b"x"
            seconds.append(time.monotonic() - began)
        channel.close()
    # The kernel acknowledges the first segments of a connection at once; then it begins to delay.
    assert min(seconds[20:]) < 0.02
