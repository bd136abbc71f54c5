"""Which of two dialects a message is in, told by the wire types of its fields."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaccel_common.protowire import WireError
from vaccel_rpc.dialects import Version, dialect
from vaccel_rpc.dialects.telling import DISTINCTIONS
from vaccel_rpc.errors import InvalidArgument
from vaccel_rpc.proto.dialect07 import agent07_pb2 as pb07
from vaccel_rpc.proto.dialect08 import genop_pb2, resource_pb2

REGISTER, GENOP = DISTINCTIONS["register"], DISTINCTIONS["genop"]
NUMBER = st.integers(0, 2**32 - 1)
NAME, DATA = st.text(max_size=5), st.binary(max_size=20)
FILES = st.lists(st.builds(pb07.File, name=NAME, path=NAME, path_owned=st.booleans(), data=DATA, size=NUMBER), max_size=4)
BLOBS = st.lists(st.builds(resource_pb2.Blob, type_=st.integers(0, 2), name=NAME, data=DATA, size=NUMBER), max_size=4)
ARGS_08 = st.lists(
    st.builds(
        genop_pb2.Arg, buf=DATA, size=NUMBER, arg_type=st.integers(0, 29), parts=NUMBER, part_no=NUMBER, unallocated=st.booleans()
    ),
    max_size=4,
)
ARGS_07 = st.lists(st.builds(pb07.Arg, argtype=NUMBER, size=NUMBER, buf=DATA, parts=NUMBER, part_no=NUMBER), max_size=4)


@given(FILES, st.integers(-(2**63), 2**63 - 1))
def test_files_are_told(files: list[Any], session: int) -> None:
    """A file with a name, an owned path or data is of 0.7; one with nothing but a path or a size cannot be told."""
    message = pb07.RegisterResourceRequest(files=files, session_id=session).SerializeToString()
    check(REGISTER, message, "0.7", any(file.name or file.path_owned or file.data for file in files), unclear=any(
        file.ByteSize() and not (file.name or file.path_owned or file.data) for file in files
    ))  # fmt: skip


@given(BLOBS, st.integers(-(2**63), 2**63 - 1))
def test_blobs_are_told(blobs: list[Any], session: int) -> None:
    """A blob with a type, data or a size is of 2025-07; one with nothing but a name cannot be told."""
    message = resource_pb2.RegisterRequest(blobs=blobs, session_id=session).SerializeToString()
    tells = [bool(blob.type_ or blob.data or blob.size) for blob in blobs]
    unclear = any(blob.ByteSize() and not told for blob, told in zip(blobs, tells, strict=True))
    check(REGISTER, message, "2025-07", any(tells), unclear=unclear)


@given(ARGS_08, ARGS_08)
def test_arguments_of_the_release_are_told(read: list[Any], write: list[Any]) -> None:
    """An argument with bytes or a type tells 0.8; others look the same in both dialects, and it does not matter."""
    message = genop_pb2.Request(read_args=read, write_args=write, session_id=1).SerializeToString()
    check(GENOP, message, "0.8", any(arg.buf or arg.arg_type for arg in read + write))


@given(ARGS_07, ARGS_07)
def test_arguments_of_the_builds_between_are_told(read: list[Any], write: list[Any]) -> None:
    """An argument with bytes or a type tells 2025-08."""
    message = pb07.GenopRequest(read_args=read, write_args=write, session_id=1).SerializeToString()
    check(GENOP, message, "2025-08", any(arg.buf or arg.argtype for arg in read + write))


def check(distinction: Any, message: bytes, version: Version, told: bool, *, unclear: bool = False) -> None:
    """The message tells ``version`` or nothing, and does not agree with the other dialect where it tells."""
    other = next(known for known in distinction.versions if known != version)
    assert distinction.told(message, version) == version
    if told:
        assert distinction.told(message) == version
        with pytest.raises(InvalidArgument, match=f"dialect {version}, where this connection speaks {other}"):
            distinction.told(message, other)
    elif unclear:
        with pytest.raises(InvalidArgument, match=r"the dialect cannot be told; tried 0\.7 and 2025-07"):
            distinction.told(message)
    else:
        assert distinction.told(message) is None
        assert distinction.told(message, other) == other


@pytest.mark.parametrize("distinction", [REGISTER, GENOP], ids=["register", "genop"])
@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_told_or_refused(distinction: Any, data: bytes, known: bool) -> None:
    """What is no message, or one of no dialect, raises WireError or InvalidArgument and nothing else."""
    try:
        assert distinction.told(data, distinction.versions[1] if known else None) in (None, *distinction.versions)
    except (WireError, InvalidArgument):
        pass


@pytest.mark.parametrize(
    "mixed",
    [
        [pb07.File(name="a", data=b"x"), resource_pb2.Blob(type_=resource_pb2.MAPPED, data=b"x")],
        [resource_pb2.Blob(name="a", size=1), pb07.File(path="/a", path_owned=True)],
    ],
)
def test_a_message_that_contradicts_itself_is_refused(mixed: list[Any]) -> None:
    """One of each dialect in the same request is INVALID_ARGUMENT, which names both."""
    request = b"".join(b"\x12" + bytes([len(part.SerializeToString())]) + part.SerializeToString() for part in mixed)
    with pytest.raises(InvalidArgument, match=r"as in dialect .*, where the same message speaks "):
        REGISTER.told(request)


def test_many_fields_do_not_keep_the_agent_busy() -> None:
    """Of a message of a million fields the first thousand are looked at."""
    assert GENOP.told(b"\x08\x01" * 1_000_000) is None
    assert GENOP.told(b"\x12\x80\x89\x7a" + b"\x10\x01" * 1_000_000) is None


@pytest.mark.parametrize("version", ["0.7", "2025-07", "2025-08", "0.8"])
def test_distinctions_fit_the_tables(version: Version) -> None:
    """Each version's own messages have the fields that tell them, and a dialect is what its name says."""
    own = dialect(version)
    assert own.version == version
    for operation, part in (("register", own.blob), ("genop", own.arg)):
        distinction = DISTINCTIONS[operation]
        if version in distinction.versions:
            numbers = {field.number for field in part.DESCRIPTOR.fields}
            assert {number for (number, _), told in distinction.signs.items() if told == version} <= numbers
