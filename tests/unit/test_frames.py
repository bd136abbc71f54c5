"""The ttrpc frame codec: exact bytes, every split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaccel_rpc.frames import DATA, HEADER, REQUEST, RESPONSE, Frame, FrameReader, ProtocolError, RefusedFrame, encode

FRAMES = st.lists(
    st.builds(
        Frame, st.integers(0, 2**32 - 1), st.sampled_from([REQUEST, RESPONSE, DATA]), st.integers(0, 255), st.binary(max_size=40)
    ),
    max_size=5,
)


def test_a_frame_is_ten_bytes_and_its_data() -> None:
    """Length and stream id are big-endian, then type and flags."""
    assert encode(3, REQUEST, 6, b"ab") == bytes.fromhex("00000002000000030106") + b"ab"


@given(FRAMES, st.data())
def test_any_split_gives_the_same_frames(frames: list[Frame], data: st.DataObject) -> None:
    """However the bytes are cut on the way, the frames come out whole and in order."""
    stream = b"".join(encode(frame.stream, frame.type, frame.flags, bytes(frame.data)) for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    reader, received = FrameReader(100), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += list(reader.receive(stream[start:end]))
    assert [(f.stream, f.type, f.flags, bytes(f.data)) for f in received if isinstance(f, Frame)] == [
        (f.stream, f.type, f.flags, bytes(f.data)) for f in frames
    ]
    assert not reader.partial


def test_every_single_split_of_two_frames() -> None:
    """Two frames come out whole, at whatever byte they are split."""
    stream = encode(1, REQUEST, 0, b"hello") + encode(3, DATA, 5)
    for at in range(len(stream) + 1):
        reader = FrameReader(10)
        assert len([*reader.receive(stream[:at]), *reader.receive(stream[at:])]) == 2


def test_few_bytes_are_missing_in_a_header_and_near_the_end() -> None:
    """What a peer may hold back until it is acknowledged: any part of a small frame, the last 64 KiB of a large one."""
    small, large = encode(1, REQUEST, 0, b"hello"), encode(1, REQUEST, 0, bytes(1 << 20))
    for frame, at, few in (
        *((small, at, 0 < at < len(small)) for at in range(len(small) + 1)),
        *((large, at, True) for at in (1, 9)),
        *((large, at, False) for at in (10, 11, len(large) - (64 << 10))),
        *((large, at, True) for at in (len(large) - (64 << 10) + 1, len(large) - 1)),
    ):
        reader = FrameReader(1 << 20)
        list(reader.receive(frame[:at]))
        assert reader.few_missing == few, at


@given(st.binary(max_size=200))
def test_any_bytes_give_frames_or_a_protocol_error(data: bytes) -> None:
    """Garbage never breaks the reader in another way."""
    reader = FrameReader(50)
    try:
        list(reader.receive(data))
    except ProtocolError:
        return
    assert reader.held <= 50


def test_at_the_limit_a_frame_passes_and_one_byte_more_is_skipped() -> None:
    """An oversized frame is refused by its header, its body dropped, and the next frame found."""
    reader = FrameReader(4)
    frames = list(reader.receive(encode(1, REQUEST, 0, b"1234") + encode(3, REQUEST, 0, b"12345") + encode(5, REQUEST, 0, b"x")))
    assert [type(frame) for frame in frames] == [Frame, RefusedFrame, Frame]
    assert frames[1] == RefusedFrame(3, REQUEST, 5, too_large=True)


def test_a_header_alone_reserves_nothing() -> None:
    """A frame that announces much and sends little costs what it sent."""
    requested: list[int] = []

    def reserve(count: int) -> bool:
        requested.append(count)
        return True

    reader = FrameReader(1 << 30, reserve)
    assert list(reader.receive(HEADER.pack(1 << 30, 1, REQUEST, 0) + b"abc")) == []
    assert requested == [3]
    assert reader.held == 3


def test_what_the_budget_refuses_is_skipped() -> None:
    """A refused frame gives back what it was granted, and the reader goes on."""
    left = [5]

    def reserve(count: int) -> bool:
        if count > left[0]:
            return False
        left[0] -= count
        return True

    reader = FrameReader(100, reserve)
    frames = list(reader.receive(encode(1, REQUEST, 0, b"x" * 3)[:-1])) + list(
        reader.receive(b"x" + encode(3, DATA, 0, b"y" * 9))
    )
    assert [type(frame) for frame in frames] == [Frame, RefusedFrame]
    assert left == [2]
    assert reader.given_up == 0


def test_an_unknown_type_is_a_protocol_error() -> None:
    """After it nobody knows where the next frame starts."""
    with pytest.raises(ProtocolError, match="frame type 9"):
        list(FrameReader(10).receive(HEADER.pack(0, 1, 9, 0)))


LARGE = 600_000


@given(st.lists(st.integers(1, LARGE), max_size=6))
def test_a_large_body_is_received_into_its_place(cuts: list[int]) -> None:
    """Whether it is pushed or received in place, or one after the other, the body is the same; what follows it too."""
    body = bytes(range(251)) * (LARGE // 251)
    stream = encode(7, REQUEST, 0, body) + encode(9, DATA, 1, b"next")
    reader, received, at = FrameReader(1 << 20), list[Frame | RefusedFrame](), 0
    for size in [*cuts, len(stream)]:
        place = reader.place()
        if place is None:
            received += reader.receive(stream[at : at + size])
            at += size
        else:
            part = stream[at : at + min(size, len(place))]
            place[: len(part)] = part
            received += reader.placed(len(part))
            at += len(part)
    received += reader.receive(stream[at:])
    assert [(frame.stream, bytes(frame.data)) for frame in received if isinstance(frame, Frame)] == [(7, body), (9, b"next")]


def test_a_large_body_that_the_budget_refuses_half_way_is_skipped() -> None:
    """Both ways of receiving ask; what was granted is given back, and the next frame is found."""
    left = [LARGE // 2]

    def reserve(count: int) -> bool:
        if count > left[0]:
            return False
        left[0] -= count
        return True

    reader = FrameReader(1 << 20, reserve)
    assert list(reader.receive(HEADER.pack(LARGE, 3, REQUEST, 0))) == []
    missing = LARGE
    while (place := reader.place()) is not None:
        missing -= len(place)
        assert list(reader.placed(len(place))) == []
    (refused, after) = reader.receive(bytes(missing) + encode(5, DATA, 0, b"x"))
    assert isinstance(refused, RefusedFrame)
    assert isinstance(after, Frame)
    assert reader.given_up + left[0] + 1 == LARGE // 2
    assert reader.held == 0
