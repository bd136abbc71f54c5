"""How a model is registered: by its path, by its bytes where the path is refused, and what is said where both are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from vaccel_rpc import registering
from vaccel_rpc.channels import PendingReply
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.errors import FailedPrecondition, NotFound, RpcError, from_code
from vaccel_rpc.negotiation import open_session
from vaccel_rpc.proto.dialect08.resource_pb2 import RegisterRequest, RegisterResponse
from vaccel_rpc.proto.dialect08.session_pb2 import CreateResponse
from vaccel_rpc.registering import ModelSource, Registrar
from vaccel_rpc.wire import Parts

#: The codes that say nothing about a path: UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED.
NO_ANSWER = {14, 4, 8}


def unknown(method: str) -> RpcError:
    """How upstream's agents say that they lack a method."""
    return from_code(3, f"/{method} does not exist")


@dataclass(frozen=True)
class _Reply:
    payload: bytes | RpcError
    arrived = None

    def result(self) -> bytes:
        if isinstance(self.payload, RpcError):
            raise self.payload
        return self.payload


@dataclass
class FakeChannel:
    """A channel to an agent that answers as ``path`` and ``upload`` say. ``methods``: those that were called."""

    path: RpcError | int = 1
    upload: RpcError | int = 2
    session: Callable[[str], RpcError | int] = lambda _: 1
    closed: RpcError | None = None
    draining: bool = False
    running: int = 0
    methods: list[str] = field(default_factory=list)

    def read_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """It answers at once."""

    def start(
        self,
        service: str,
        method: str,
        payload: Parts,
        timeout: float | None = None,  # noqa: ARG002 as a channel
        metadata: Mapping[str, str] | None = None,  # noqa: ARG002
        done: Callable[[], None] | None = None,  # noqa: ARG002
    ) -> PendingReply:
        if method == "CreateSession":
            answer = self.session(service)
            self.methods.append(f"{service}/{method}")
            return _Reply(answer if isinstance(answer, RpcError) else CreateResponse(session_id=answer).SerializeToString())
        if method == "TorchModelLoad":
            self.methods.append(f"{service}/{method}")
            return _Reply(unknown(f"{service}/{method}"))
        by_path = bool(RegisterRequest.FromString(b"".join(payload)).paths)
        self.methods.append("path" if by_path else "upload")
        answer = self.path if by_path else self.upload
        return _Reply(answer if isinstance(answer, RpcError) else RegisterResponse(resource_id=answer).SerializeToString())

    def stream(self, service: str, method: str, payloads: Iterable[bytes], timeout: float | None = None) -> PendingReply:
        raise NotImplementedError

    def close(self, why: str = "") -> None:
        pass


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A model's file."""
    path = tmp_path / "model.pt"
    path.write_bytes(b"model")
    return path


@pytest.mark.parametrize("code", range(1, 17))
def test_any_refusal_of_a_path_leads_to_an_upload(file: Path, code: int) -> None:
    """Whatever the status, but for those that say nothing about the path; without a file the path's error is the error."""
    refusal = from_code(code, "no such thing")
    channel = FakeChannel(path=refusal)
    registrar = Registrar(ModelSource("sha256:abc", file))
    if code in NO_ANSWER:
        with pytest.raises(type(refusal), match="no such thing"):
            registrar.register(VaccelClient(channel), 1, None)
        assert channel.methods == ["path"]
    else:
        registered = registrar.register(VaccelClient(channel), 1, None)
        assert (registered.resource, registered.uploaded, channel.methods) == (2, True, ["path", "upload"])
        assert registered.how.startswith("uploaded from model.pt, 5 bytes in 0.0")
        assert registered.how.endswith(f" s (sha256:abc was refused: {refusal.name}: no such thing)")
    with pytest.raises(type(refusal), match="no such thing"):
        Registrar(ModelSource("sha256:abc")).register(VaccelClient(FakeChannel(path=refusal)), 1, None)


def test_an_accepted_path_needs_no_upload(file: Path) -> None:
    """A file here does not travel where the agent has the model; without a path it always does."""
    channel = FakeChannel()
    registered = Registrar(ModelSource("sha256:abc", file)).register(VaccelClient(channel), 1, 5)
    assert (registered.resource, registered.uploaded, registered.how) == (1, False, "registered as sha256:abc")
    assert Registrar(ModelSource(None, file)).register(VaccelClient(channel), 1, 5).uploaded
    assert channel.methods == ["path", "upload"]
    with pytest.raises(NotFound, match="no model is configured"):
        Registrar(ModelSource(None)).register(VaccelClient(channel), 1, 5)


def test_two_refusals_are_both_named(file: Path) -> None:
    """The error has the upload's class and both reasons."""
    channel = FakeChannel(NotFound("no model 'tweets' in the store"), from_code(7, "uploads are off (--uploads deny)"))
    with pytest.raises(RpcError) as raised:
        Registrar(ModelSource("tweets", file)).register(VaccelClient(channel), 1, None)
    assert raised.value.name == "PERMISSION_DENIED"
    assert raised.value.message == (
        "the upload of model.pt was refused: PERMISSION_DENIED: uploads are off (--uploads deny); "
        "tweets was refused: NOT_FOUND: no model 'tweets' in the store"
    )


def test_a_refused_upload_is_not_repeated_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file does not travel at every attempt to connect; its path is tried each time; a lost connection does not count."""
    channel = FakeChannel(NotFound("no"), from_code(7, "never"))
    registrar = Registrar(ModelSource("tweets", file))
    for _ in range(3):
        with pytest.raises(RpcError, match="never"):
            registrar.register(VaccelClient(channel), 1, None)
    assert channel.methods == ["path", "upload", "path", "path"]
    monkeypatch.setattr(registering, "_UPLOAD_PAUSE_S", 0)
    channel.upload = from_code(14, "gone")
    for _ in range(2):
        with pytest.raises(RpcError, match="gone"):
            registrar.register(VaccelClient(channel), 1, None)
    channel.upload = 9
    assert registrar.register(VaccelClient(channel), 1, None).resource == 9


def test_a_file_that_cannot_be_sent_is_named(tmp_path: Path) -> None:
    """It has gone, or it is empty: FAILED_PRECONDITION, not an exception of another kind."""
    (tmp_path / "empty.pt").touch()
    for name, says in (("gone.pt", "No such file"), ("empty.pt", "is empty")):
        with pytest.raises(FailedPrecondition, match=says):
            Registrar(ModelSource(None, tmp_path / name)).register(VaccelClient(FakeChannel()), 1, None)


NEW, OLD = "vaccel.sync.agent.AgentService", "vaccel.AgentService"


def test_the_newest_dialect_is_tried_first() -> None:
    """One call where the agent speaks it or a dialect is fixed; more where it says, in either way, that it does not."""
    for refusal in (unknown(f"{NEW}/CreateSession"), from_code(12, "no such service")):
        channel = FakeChannel(session=lambda service, refusal=refusal: refusal if service == NEW else 7)  # type: ignore[misc]
        client, session = open_session(channel)
        assert (client.version, session) == ("0.7", 7)
        assert channel.methods == [f"{NEW}/CreateSession", f"{OLD}/CreateSession", f"{OLD}/TorchModelLoad"]
        assert client.run_method == (OLD, "TorchJitloadForward")
    for choice, service in (("auto", NEW), ("0.8", NEW), ("0.7", OLD)):
        channel = FakeChannel()
        client, _ = open_session(channel, choice)  # type: ignore[arg-type]
        assert (client.service, channel.methods) == (service, [f"{service}/CreateSession"])


def test_an_agent_without_a_known_dialect_is_told_what_was_tried() -> None:
    """UNIMPLEMENTED with the dialects and their services; another error of the first call is its own."""
    with pytest.raises(
        RpcError, match=r"tried: 0\.8 \(vaccel\.sync\.agent\.AgentService\), 0\.7 \(vaccel\.AgentService\)$"
    ) as raised:
        open_session(FakeChannel(session=unknown))
    assert raised.value.name == "UNIMPLEMENTED"
    with pytest.raises(RpcError, match=r"tried: 0\.7 \(vaccel\.AgentService\)$"):
        open_session(FakeChannel(session=unknown), "0.7")
    for error in (from_code(3, "flags must be 0"), from_code(8, "too many sessions"), from_code(14, "gone")):
        channel = FakeChannel(session=lambda _, error=error: error)  # type: ignore[misc]
        with pytest.raises(type(error), match=error.message):
            open_session(channel)
        assert len(channel.methods) == 1
