"""The preprocessing in a signature: defaults, what follows from the input's dims, and refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from vaccel_common.imagespec import ImageSpec, image_spec
from vaccel_common.modelfile import ModelFileError, Signature, parse_signature


def signature(image: Any = None, dims: list[Any] | None = None, dtype: str = "float32", inputs: int = 1) -> Signature:
    """A signature with inputs of ``dims``, and the object ``image`` if it is not None."""
    spec = {"name": "image", "dtype": dtype, "dims": ["n", 3, 224, 224] if dims is None else dims}
    data: dict[str, Any] = {"format": 1, "name": "m", "problem_type": "single_label_classification"}
    data |= {"inputs": [spec] * inputs, "outputs": [], "batch": "n"}
    return parse_signature(json.dumps(data if image is None else {**data, "image": image}))


@pytest.mark.parametrize(
    ("image", "dims", "expected"),
    [
        (None, ["n", 3, 224, 224], ImageSpec()),
        (None, ["n", 3, "h", "w"], ImageSpec()),
        ({}, ["n", 3, "h", "w"], ImageSpec()),
        (None, [1, 3, 224, 224], ImageSpec()),
        (None, ["n", 3, 56, 112], ImageSpec((56, 112), 128)),
        (None, ["n", 3, 28, "w"], ImageSpec((28, 224), 256)),
        ({"size": [64, 64]}, ["n", 3, "h", "w"], ImageSpec((64, 64), 73)),
        ({"resize": 64}, ["n", 3, 64, 64], ImageSpec((64, 64), 64)),
        (
            {"size": [224, 224], "resize": 232, "mean": [0.5, 0.5, 0.5], "std": [1, 1, 1]},
            ["n", 3, 224, 224],
            ImageSpec((224, 224), 232, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)),
        ),
    ],
    ids=str,
)
def test_the_preprocessing_of_a_signature(image: Any, dims: list[Any], expected: ImageSpec) -> None:
    """What a signature states counts; a fixed input states the size; the rest is ImageNet's."""
    assert image_spec(signature(image, dims)) == expected


def test_a_model_without_a_signature_gets_imagenets_preprocessing() -> None:
    """It is what upstream's examples do."""
    assert image_spec(None) == ImageSpec((224, 224), 256, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("dims", "dtype", "inputs"),
    [
        (["n", "t"], "int64", 1),
        (["n", 3, 224, 224], "float32", 2),
        (["n", 3, 224, 224], "uint8", 1),
        (["n", 1, 224, 224], "float32", 1),
        (["n", "c", 224, 224], "float32", 1),
        (["n", 224, 224, 3], "float32", 1),
        ([8, 3, 224, 224], "float32", 1),
        (["n", 3, 224], "float32", 1),
        (["n", 3, 5000, 224], "float32", 1),
        (["n", 3, 0, 224], "float32", 1),
    ],
    ids=str,
)
def test_a_model_of_other_inputs_has_no_preprocessing(dims: list[Any], dtype: str, inputs: int) -> None:
    """Nor may its signature state one."""
    assert image_spec(signature(None, dims, dtype, inputs)) is None
    with pytest.raises(ModelFileError, match=r'"image" is for a model with one float32 input \[n, 3, height, width\]'):
        signature({}, dims, dtype, inputs)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("imagenet", '"image" must be an object'),
        ({"deviation": [1, 1, 1]}, "unknown field 'deviation'; its fields are size, resize, mean, std"),
        ({"size": 224}, r"image.size must be \[height, width\], whole numbers from 1 to 1024"),
        ({"size": [224]}, "image.size must be"),
        ({"size": [224, 0]}, "image.size must be"),
        ({"size": [224, 1025]}, "image.size must be"),
        ({"size": [224, 224.5]}, "image.size must be"),
        ({"size": [True, 224]}, "image.size must be"),
        ({"size": [32, 224]}, r"image.size \[32, 224\] differs from the input's height and width, \[224, 224\]"),
        ({"resize": 223}, "image.resize must be a whole number from 224 .* to 2048"),
        ({"resize": 2049}, "image.resize must be"),
        ({"resize": "256"}, "image.resize must be"),
        ({"mean": 0.5}, "image.mean must be three numbers, for red, green and blue"),
        ({"mean": [0.5, 0.5]}, "image.mean must be"),
        ({"mean": [0.5, 0.5, "0.5"]}, "image.mean must be"),
        ({"mean": [0.5, 0.5, float("nan")]}, "image.mean must be"),
        ({"std": [1, 1, 10**400]}, "image.std must be three numbers, "),
        ({"std": [1, 1, 0]}, "image.std must be three numbers greater than 0"),
        ({"std": [1, 1, -1]}, "image.std must be three numbers greater than 0"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named(image: Any, message: str) -> None:
    """Every error names signature.json, the field, and what would be right."""
    with pytest.raises(ModelFileError, match=f"^signature.json: .*{message}"):
        signature(image)


def test_a_signature_made_by_an_engine_needs_no_object() -> None:
    """A plugin's signature of fixed dims has the same defaults."""
    assert image_spec(replace(signature(dims=["n", 3, 28, 28]), image=None)) == ImageSpec((28, 28), 32)
