"""gRPC as others speak it: grpcio's own health and reflection stubs, and calls of plain bytes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.support.paths import shipped_store
from tests.support.servers import ServerProcess, SpawnAgent
from vaccel_rpc.proto.dialect07 import agent07_pb2 as pb07
from vaccel_rpc.proto.dialect08 import resource_pb2, session_pb2, torch_pb2
from vaccel_rpc.proto.ttrpc_pb2 import Status

SERVICES = ["vaccel.AgentService", "vaccel.asynchronous.agent.AgentService", "vaccel.sync.agent.AgentService"]


def target(agent: ServerProcess, scheme: str) -> str:
    rest = agent.addresses[scheme].split("://", 1)[1]
    return f"unix:{rest}" if "unix" in scheme else rest


@pytest.fixture(params=["grpc", "grpc+unix"])
def channel(agent: ServerProcess, request: pytest.FixtureRequest) -> Iterator[Any]:
    with grpc.insecure_channel(target(agent, request.param)) as opened:
        yield opened


def test_health_is_serving_for_the_whole_and_each_service(channel: Any) -> None:
    """As grpc_health_probe asks; an unknown service is NOT_FOUND."""
    stub = health_pb2_grpc.HealthStub(channel)
    for name in ("", *SERVICES):
        assert stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=5).status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as raised:
        stub.Check(health_pb2.HealthCheckRequest(service="nobody"), timeout=5)
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND


def test_reflection_lists_and_describes_every_service(channel: Any) -> None:
    """As grpcurl asks: the names, and for each a file that declares its methods."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    queries = [reflection_pb2.ServerReflectionRequest(list_services="")]
    queries += [reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in SERVICES]
    listed, *described = list(stub.ServerReflectionInfo(iter(queries), timeout=5))
    names = [service.name for service in listed.list_services_response.service]
    assert set(SERVICES) | {"grpc.health.v1.Health"} <= set(names)
    for name, answer in zip(SERVICES, described, strict=True):
        files = [FileDescriptorProto.FromString(data) for data in answer.file_descriptor_response.file_descriptor_proto]
        declared = [service for file in files for service in file.service if f"{file.package}.{service.name}" == name]
        assert {"CreateSession", "RegisterResource", "Genop"} <= {method.name for method in declared[0].method}


def test_ids_are_secrets(channel: Any) -> None:
    """Random 63-bit numbers, in both dialects: those of others cannot be guessed."""
    create08 = channel.unary_unary("/vaccel.sync.agent.AgentService/CreateSession")
    create07 = channel.unary_unary("/vaccel.AgentService/CreateSession")
    ids = [session_pb2.CreateResponse.FromString(create08(b"", timeout=5)).session_id for _ in range(5)]
    ids += [pb07.CreateSessionResponse.FromString(create07(b"", timeout=5)).session_id for _ in range(5)]
    assert len(set(ids)) == 10
    assert sum(number > 2**48 for number in ids) == 10


@pytest.mark.parametrize(
    ("method", "payload", "code"),
    [
        ("vaccel.sync.agent.AgentService/NoSuch", b"", grpc.StatusCode.UNIMPLEMENTED),
        ("nobody.Service/CreateSession", b"", grpc.StatusCode.UNIMPLEMENTED),
        ("vaccel.sync.agent.AgentService/GenopStream", b"", grpc.StatusCode.UNIMPLEMENTED),
        ("vaccel.AgentService/TensorflowModelRun", b"", grpc.StatusCode.UNIMPLEMENTED),
        ("vaccel.sync.agent.AgentService/CreateSession", b"\xff", grpc.StatusCode.INVALID_ARGUMENT),
        ("vaccel.sync.agent.AgentService/DestroySession", b"\x08\x07", grpc.StatusCode.NOT_FOUND),
    ],
)
def test_errors_carry_their_code_and_status_details(channel: Any, method: str, payload: bytes, code: grpc.StatusCode) -> None:
    """The gRPC code, and the same as google.rpc.Status in the trailing metadata where the agent made it."""
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/" + method)(payload, timeout=5)
    assert raised.value.code() == code
    details = dict(raised.value.trailing_metadata() or ()).get("grpc-status-details-bin")
    if details is not None:
        assert Status.FromString(details).code == code.value[0]


def test_cancelled_and_expired_calls_do_not_hurt_the_next(spawn_agent: SpawnAgent) -> None:
    """A call taken back, and one past its deadline, leave an agent that answers."""
    agent = spawn_agent("-a", "grpc://127.0.0.1:0", "--models", str(shipped_store()), "--preload", "tweets")
    with grpc.insecure_channel(target(agent, "grpc")) as channel:
        session = session_pb2.CreateResponse.FromString(
            channel.unary_unary("/vaccel.sync.agent.AgentService/CreateSession")(b"", timeout=5)
        )
        request = resource_pb2.RegisterRequest(paths=["tweets"], resource_type=resource_pb2.MODEL, session_id=session.session_id)
        model = resource_pb2.RegisterResponse.FromString(
            channel.unary_unary("/vaccel.sync.agent.AgentService/RegisterResource")(request.SerializeToString(), timeout=20)
        )
        run = channel.unary_unary("/vaccel.sync.agent.AgentService/TorchModelRun")
        row = torch_pb2.Tensor(data=(101).to_bytes(8, "little") * 128, dims=[1, 128], type=torch_pb2.LONG)
        # Some milliseconds of work at least: longer than the deadline.
        long = torch_pb2.ModelRunRequest(
            session_id=session.session_id, model_id=model.resource_id, nr_out_tensors=1, in_tensors=[row, row]
        ).SerializeToString()
        payload = torch_pb2.ModelRunRequest(session_id=session.session_id, model_id=1, nr_out_tensors=1).SerializeToString()
        for _ in range(20):
            run.future(payload).cancel()
        with pytest.raises(grpc.RpcError) as raised:
            run(long, timeout=1e-3)
        assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        with pytest.raises(grpc.RpcError) as raised:
            run(payload, timeout=5)
        assert raised.value.code() == grpc.StatusCode.NOT_FOUND
    assert "Traceback" not in agent.text


def test_not_ready_before_the_end(spawn_agent: SpawnAgent) -> None:
    """Watch hears SERVING, and NOT_SERVING or the end of the stream at SIGTERM."""
    agent = spawn_agent("-a", "grpc://127.0.0.1:0")
    with grpc.insecure_channel(target(agent, "grpc")) as channel:
        statuses = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""))
        assert next(statuses).status == health_pb2.HealthCheckResponse.SERVING
        agent.process.terminate()
        try:
            heard = [answer.status for answer in statuses]
        except grpc.RpcError:
            heard = []
        assert health_pb2.HealthCheckResponse.SERVING not in heard
    assert agent.process.wait(15) == 0


def test_idle_sessions_end(spawn_agent: SpawnAgent) -> None:
    """After --idle-session-s an id is unknown."""
    agent = spawn_agent("-a", "grpc://127.0.0.1:0", "--idle-session-s", "0.4")
    with grpc.insecure_channel(target(agent, "grpc")) as channel:
        reply = channel.unary_unary("/vaccel.sync.agent.AgentService/CreateSession")(b"", timeout=5)
        session = session_pb2.CreateResponse.FromString(reply).session_id
        time.sleep(1.5)
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary("/vaccel.sync.agent.AgentService/DestroySession")(
                session_pb2.DestroyRequest(session_id=session).SerializeToString(), timeout=5
            )
        assert raised.value.code() == grpc.StatusCode.NOT_FOUND
