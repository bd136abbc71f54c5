"""The message that an agent shuts down, as its client reads it: any bytes are read without an error, and only the message counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vaccel_rpc import frames
from vaccel_rpc.draining import ANNOUNCEMENT, FRAME, announced, is_message
from vaccel_rpc.proto.ttrpc_pb2 import Request


def read(data: bytes, max_data: int = 1 << 20) -> list[frames.Frame | frames.RefusedFrame]:
    """The frames in these bytes."""
    return list(frames.FrameReader(max_data).receive(data))


def test_the_message() -> None:
    """It is what docs/vaccel.md says: a request on stream 2, without flags, payload, timeout and metadata."""
    (frame,) = read(FRAME)
    assert isinstance(frame, frames.Frame)
    assert (frame.stream, frame.type, frame.flags) == (2, frames.REQUEST, 0)
    request = Request.FromString(bytes(frame.data))
    assert request == Request(service="vaccel.extension.ClientService", method="Draining")
    assert is_message(frame)


@given(
    data=st.binary(max_size=200), kind=st.sampled_from([frames.REQUEST, frames.RESPONSE, frames.DATA]), stream=st.integers(0, 9)
)
def test_any_other_bytes_mean_nothing(data: bytes, kind: int, stream: int) -> None:
    """Malformed requests, responses and data are not the message, and raise nothing."""
    (frame,) = read(frames.encode(stream, kind, 0, data))
    assert not is_message(frame)


@given(
    service=st.text(max_size=40) | st.just("vaccel.extension.ClientService"), method=st.text(max_size=20) | st.just("Draining"),
    payload=st.binary(max_size=20), timeout=st.integers(0, 2**62), stream=st.integers(0, 2**32 - 1), flags=st.integers(0, 255),
)  # fmt: skip
def test_only_its_names_count(service: str, method: str, payload: bytes, timeout: int, stream: int, flags: int) -> None:
    """A later version may add to it: stream, flags, payload and timeout are not looked at."""
    data = Request(service=service, method=method, payload=payload, timeout_nano=timeout).SerializeToString()
    (frame,) = read(frames.encode(stream, frames.REQUEST, flags, data))
    assert is_message(frame) is ((service, method) == ("vaccel.extension.ClientService", "Draining"))


@given(st.integers(1, len(FRAME) - 1))
def test_it_is_read_in_pieces(cut: int) -> None:
    """Wherever the connection cuts it; and one that a client refuses for its length is not the message."""
    reader = frames.FrameReader(1 << 20)
    assert list(reader.receive(FRAME[:cut])) == []
    (frame,) = reader.receive(FRAME[cut:])
    assert is_message(frame)
    (refused,) = read(FRAME, max_data=8)
    assert isinstance(refused, frames.RefusedFrame)
    assert not is_message(refused)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=5), max_size=4))
def test_only_the_announcement_announces(metadata: dict[str, str]) -> None:
    """Other metadata, and another value, do not."""
    assert announced({**metadata, **ANNOUNCEMENT})
    assert announced(metadata) is (metadata.get("vaccel-draining") == "1")
    assert not announced({"vaccel-draining": "0"})
