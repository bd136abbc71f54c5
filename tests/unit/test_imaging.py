"""Images to tensors and labels, in process: what is accepted, what is refused, and the numbers."""

from __future__ import annotations

import asyncio
import io
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from agent.imaging.decoding import ImageLimits
from agent.imaging.labels import best_class, label_of, read_labels
from agent.imaging.reader import ImageReader
from tests.support.pictures import Pixels, declared_png, encoded, picture, png_chunk, reference
from vaccel_common.imagespec import ImageSpec
from vaccel_rpc.errors import DeadlineExceeded, FailedPrecondition, Internal, InvalidArgument
from vaccel_rpc.tensors import Tensor, from_values

SMALL = ImageSpec((56, 56), 64)
LIMITS = ImageLimits(size=300_000, pixels=300_000, in_flight=4)


@pytest.fixture(scope="module")
def reader() -> Iterator[ImageReader]:
    reader = ImageReader(LIMITS, 2)
    yield reader
    reader.close()


def read(reader: ImageReader, data: bytes, spec: ImageSpec = SMALL, deadline: float | None = None) -> Tensor:
    return asyncio.run(reader.read(data, spec, deadline))


def numbers(tensor: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.frombuffer(tensor.data, np.float32).reshape(tensor.dims)


def levels(reader: ImageReader, image: Image.Image, kind: str = "PNG") -> Pixels:
    """Red, green and blue, 0 to 255, in the middle of what the reader makes of an image."""
    spec = ImageSpec((56, 56), 64, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return (numbers(read(reader, encoded(image, kind), spec))[0, :, 28, 28] * 255).round().astype(np.uint8)


@pytest.mark.parametrize(
    ("width", "height"), [(90, 70), (70, 90), (64, 64), (400, 300), (300, 61), (56, 600), (30, 20), (3, 2), (1, 1)]
)
@pytest.mark.parametrize("spec", [SMALL, ImageSpec(), ImageSpec((32, 48), 48, (0.5, 0.4, 0.3), (0.2, 0.3, 1.0))], ids=str)
def test_the_numbers_are_those_of_the_usual_recipe(reader: ImageReader, width: int, height: int, spec: ImageSpec) -> None:
    """Resized as a whole, cropped, scaled: the same up to one of 255 levels, in few pixels."""
    data = encoded(picture(1, width, height))
    expected, tensor = reference(data, spec), read(reader, data, spec)
    assert (tensor.dtype, tensor.dims) == ("float32", (1, 3, *spec.size))
    difference = np.abs(numbers(tensor) - expected) * np.array(spec.std).reshape(3, 1, 1) * 255
    assert difference.max() < 1.001
    assert (difference > 0.5).mean() < 0.1


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 2, "quality": 60}], ids=str)
def test_jpegs_are_read_as_pillow_reads_them(reader: ImageReader, options: dict[str, int]) -> None:
    """Baseline and progressive, with and without subsampling."""
    data = encoded(picture(2), "JPEG", **options)
    assert np.abs(numbers(read(reader, data)) - reference(data, SMALL)).max() < 0.02


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGBA", "CMYK"])
def test_every_kind_of_colour_becomes_rgb(reader: ImageReader, mode: str) -> None:
    """Grey, palette, alpha and CMYK; transparency is left out."""
    colour = (200, 100, 50)
    kind = "JPEG" if mode == "CMYK" else "PNG"
    image = Image.new("RGB", (70, 70), colour)
    image = image.quantize(8) if mode == "P" else image.convert(mode, dither=Image.Dither.NONE)
    if mode == "RGBA":
        image.putalpha(7)
    expected = np.asarray(Image.open(io.BytesIO(encoded(image, kind))).convert("RGB"))[35, 35]
    assert np.abs(levels(reader, image, kind).astype(int) - expected).max() <= 1
    if mode in ("RGBA", "CMYK"):
        assert np.abs(expected - np.array(colour)).max() < 10


def test_a_palette_with_transparency_is_read(reader: ImageReader, recwarn: pytest.WarningsRecorder) -> None:
    """Without a warning: standard error is the log."""
    image = Image.new("RGB", (70, 70), (250, 0, 0)).convert("P", palette=Image.Palette.ADAPTIVE)
    data = encoded(image, transparency=bytes([7] * 200))
    assert numbers(read(reader, data)).shape == (1, 3, 56, 56)
    assert not recwarn.list


def test_sixteen_bits_are_scaled(reader: ImageReader) -> None:
    """Grey of 16 bits keeps its brightness; a plain conversion would make nearly all of it white."""
    image = Image.fromarray(np.full((70, 70), 0x4042, np.uint16))
    assert levels(reader, image).tolist() == [0x40] * 3


def test_the_first_picture_of_a_camera_jpeg_counts(reader: ImageReader) -> None:
    """Cameras add previews of other sizes to the file (MPO)."""
    first = Image.new("RGB", (80, 70), (10, 200, 10))
    data = encoded(first, "MPO", save_all=True, append_images=[Image.new("RGB", (40, 30), (200, 10, 10))])
    red, green, _ = numbers(read(reader, data))[0, :, 28, 28]
    assert green > 1 > red


PNG, JPEG = encoded(picture(3)), encoded(picture(3), "JPEG")


def scans(count: int) -> bytes:
    """A JPEG with markers of so many more scans."""
    return JPEG[:-2] + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" * count + JPEG[-2:]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", r"the image is empty; JPEG and PNG are accepted"),
        (b"just some text", r"the image's format is not known; JPEG and PNG are accepted"),
        (PNG[:5], "format is not known"),
        (encoded(picture(3), "GIF"), "the image's format is GIF; JPEG and PNG are accepted"),
        (encoded(picture(3), "WEBP"), "the image's format is WebP"),
        (encoded(picture(3), "TIFF"), "the image's format is TIFF"),
        (encoded(picture(3), "BMP"), "the image's format is BMP"),
        (b"\0\0\0\x1cftypavif", "the image's format is AVIF"),
        (PNG[:40], "the PNG image is incomplete or damaged: its header cannot be read"),
        (JPEG[:40], "the JPEG image is incomplete or damaged: its header cannot be read"),
        (PNG[: len(PNG) // 2], "the PNG image is incomplete: it ends before its last pixels"),
        (JPEG[: len(JPEG) // 2], "the JPEG image is incomplete: it ends before its last pixels"),
        (JPEG[:-2], "the JPEG image is incomplete"),
        (PNG[:200] + bytes(300) + PNG[500:], "the PNG image is damaged and cannot be decoded"),
        (encoded(picture(3), save_all=True, append_images=[picture(4)]), "the PNG image is animated; send a single picture"),
        (declared_png(50_000, 50_000), r"50000 x 50000 pixels, more than the limit of 300000 \(--max-image-pixels\)"),
        (declared_png(2**31 - 1, 2**31 - 1), "more than the limit of 300000"),
        (declared_png(0, 5), "the PNG image has no pixels: 0 x 5"),
        (declared_png(70, 50), "the PNG image is incomplete"),
        (encoded(Image.new("RGB", (600, 501)), "JPEG"), "600 x 501 pixels, more than the limit of 300000"),
        (bytes(300_001), r"the image has 300001 bytes, more than the limit of 300000 \(--max-image\)"),
        (scans(100), "the JPEG image has more than 100 scans"),
        (JPEG[:2] + b"\xff\xfe\0\x02" * 10_000 + JPEG[2:], "the JPEG image has more than 10000 segments"),
    ],
    ids=range(23),
)
def test_a_wrong_image_is_refused_with_the_reason(reader: ImageReader, data: bytes, says: str) -> None:
    """In plain words, and with what would be right."""
    with pytest.raises(InvalidArgument, match=says):
        read(reader, data)


def test_only_scans_of_the_picture_itself_count(reader: ImageReader) -> None:
    """Phones put previews into a JPEG's segments and a video behind its end, which may have any bytes."""
    markers = b"\xff\xda\0\x08" * 200
    comment = b"\xff\xfe" + (len(markers) + 2).to_bytes(2, "big") + markers
    expected = read(reader, JPEG)
    assert bytes(read(reader, JPEG[:2] + comment + JPEG[2:] + markers).data) == bytes(expected.data)
    with pytest.raises(InvalidArgument, match="more than 100 scans"):
        read(reader, JPEG[:2] + b"\xff\x01" + scans(100)[2:])


def test_the_largest_image_is_read(reader: ImageReader) -> None:
    """The limits are what is accepted: so many pixels, and so many bytes."""
    assert read(reader, encoded(Image.new("RGB", (600, 500)), "JPEG")).dims == (1, 3, 56, 56)
    text = LIMITS.size - len(PNG) - 12
    padded = PNG[:33] + png_chunk(b"teXt", b"k\0" + b"x" * (text - 2)) + PNG[33:]
    assert len(padded) == LIMITS.size
    assert read(reader, padded).dims == (1, 3, 56, 56)


def test_a_refused_size_costs_no_memory() -> None:
    """A header that declares 2,500 million pixels is refused before anything is allocated for them."""
    reader = ImageReader(ImageLimits(1 << 20, 32_000_000, 1), 1)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArgument, match="50000 x 50000"):
            read(reader, declared_png(50_000, 50_000))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
        reader.close()


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([PNG, JPEG, encoded(picture(5), "JPEG", progressive=True), encoded(picture(5).convert("P"))]),
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6),
)
def test_damaged_files_are_answered_or_refused(reader: ImageReader, data: bytes, changes: list[tuple[int, float, bytes]]) -> None:
    """Bytes changed, inserted, removed or cut off anywhere: an input of the right size, or INVALID_ARGUMENT."""
    damaged = bytearray(data)
    for kind, place, piece in changes:
        at = int(place * len(damaged))
        if kind == 0:
            damaged[at : at + len(piece)] = piece
        elif kind == 1:
            damaged[at:at] = piece
        elif kind == 2:
            del damaged[at : at + 8 * len(piece)]
        else:
            del damaged[at:]
    try:
        assert read(reader, bytes(damaged)).dims == (1, 3, 56, 56)
    except InvalidArgument:
        pass


def test_an_image_past_its_deadline_is_not_decoded(reader: ImageReader) -> None:
    """Its client has its answer already."""
    with pytest.raises(DeadlineExceeded):
        read(reader, PNG, deadline=time.monotonic() - 1)


def test_labels_are_lines(tmp_path: Path) -> None:
    """UTF-8, one label a line as upstream's imagenet.txt; a label may be empty, but the last lines count only if they have text."""
    file = tmp_path / "labels.txt"
    file.write_bytes("\ufefftench, Tinca tinca\r\n\r\nKäfer\u2028\x85\r.\n\n".encode())
    assert read_labels(str(file)) == ("tench, Tinca tinca", "", "Käfer\u2028\x85\r.")


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "no labels"), (b"\n\n", "no labels"), (b"ok\nna\xefve\n", "not UTF-8 text: byte 5"),
     ("tench\n".encode("utf-16"), "is UTF-16 text; save it as UTF-8"), (b"a\0b", "byte 1 is zero"), (bytes(5 << 20), "at most")],
)  # fmt: skip
def test_a_wrong_file_of_labels_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    """With the reason."""
    file = tmp_path / "labels.txt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=says):
        read_labels(str(file))
    with pytest.raises(ValueError, match="Is a directory"):
        read_labels(str(tmp_path))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (from_values("float32", [1, 3], [0.5, 2.0, -1.0]), (1, 3)),
        (from_values("float32", [3], [0.5, 0.25, 0.75]), (2, 3)),
        (from_values("int64", [1, 1, 4], [5, 5, 4, 3]), (0, 4)),
        (Tensor("float16", (1, 2), np.array([1, 2], np.float16).tobytes()), (1, 2)),
    ],
    ids=str,
)
def test_the_best_class_is_that_of_the_largest_number(output: Tensor, expected: tuple[int, int]) -> None:
    """Of any dtype; the first of equal ones."""
    assert best_class([output]) == expected


@pytest.mark.parametrize("dims", [(2, 3), (1, 0), (), (1, 3, 2)])
def test_an_output_that_is_no_row_is_a_failed_precondition(dims: tuple[int, ...]) -> None:
    """The model is not one that classifies, and the message has the dims."""
    with pytest.raises(FailedPrecondition, match="gave no output"):
        best_class([])
    with pytest.raises(FailedPrecondition, match="one row of numbers for each image is expected"):
        best_class([from_values("float32", dims, [1.0] * int(np.prod(dims)))])


def test_an_output_of_nan_has_no_best_class() -> None:
    """It is the model's failure, not a label."""
    with pytest.raises(Internal, match="NaN"):
        best_class([from_values("float32", [1, 3], [1.0, float("nan"), 2.0])])


def test_labels_of_the_file_come_first() -> None:
    """The agent's own are for models without, or whose labels do not fit."""
    output = [from_values("float32", [1, 2], [0.0, 1.0])]
    assert label_of(output, ["a", "b"], ["c", "d"]) == "b"
    assert label_of(output, None, ["c", "d"]) == "d"
    assert label_of(output, ["a"], ["c", "d"]) == "d"


@pytest.mark.parametrize(
    ("own", "given_labels", "says"),
    [
        (
            None,
            (),
            r"2 classes and needs a label for each: its file has no labels.json, --labels \(VACCEL_TORCH_LABELS\) is not set",
        ),
        (["a"], (), "labels.json in its file has 1, --labels .* is not set"),
        (None, ["a", "b", "c"], "its file has no labels.json, --labels .* has 3"),
    ],
)
def test_a_class_without_a_label_is_a_failed_precondition(own: list[str] | None, given_labels: list[str], says: str) -> None:
    """The message says how many there are, and where more can come from."""
    with pytest.raises(FailedPrecondition, match=says):
        label_of([from_values("float32", [1, 2], [0.0, 1.0])], own, given_labels)
