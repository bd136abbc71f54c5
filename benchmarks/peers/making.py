"""Makes the ONNX files in mosec's environment, with ONNX Runtime's own tools:
``python -m benchmarks.peers.making``; `benchmarks.peers.files` runs it.

These were the fastest files of those tried with one thread: a graph that ONNX Runtime itself
optimizes as it loads. Fused before by `onnxruntime.transformers`, float32 was no faster, and int8
was slower. Of static int8, ranges of signed bytes, quantized outputs of the multiplications and
the operator format were slower too.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from onnxruntime import quantization  # type: ignore[import-not-found,import-untyped,unused-ignore] # in mosec's environment

from benchmarks.peers import network
from benchmarks.peers.model import FOLDER, Logits, by_onnxruntime, by_torch, encoded, softmax, tokenizer
from benchmarks.peers.settings import Form

_FORMS: tuple[Form, ...] = ("fp32", "static", "dynamic")
_MULTIPLICATIONS = ["MatMul"]
#: Rows of the batches that answers to lone texts are compared with.
_BATCH = 16


class _Calibration(quantization.CalibrationDataReader):  # type: ignore[misc,unused-ignore]
    """The model's inputs for each text."""

    def __init__(self, texts: list[str]) -> None:
        self._inputs = self._encoded(texts)

    def get_next(self) -> dict[str, Any] | None:
        """The next text's inputs; None after the last."""
        return next(self._inputs, None)

    def _encoded(self, texts: list[str]) -> Iterator[dict[str, Any]]:
        tokens = tokenizer()
        for text in texts:
            ids, mask = encoded(tokens, [text])
            yield {"input_ids": np.array(ids, np.int64), "attention_mask": np.array(mask, np.int64)}


def main() -> None:
    """Reads ``{"calibration": [...], "trial": [...]}``; writes the files and prints what each form is
    like, as `benchmarks.peers.files.FormAbout` has it.
    """
    texts = json.load(sys.stdin)
    warnings.simplefilter("ignore")  # The exporter warns of itself.
    torch.set_num_threads(1)
    _export()
    exact, multiplications = str(FOLDER / "fp32.onnx"), {"MatMulConstBOnly": True}
    common = {"per_channel": True, "weight_type": quantization.QuantType.QInt8, "op_types_to_quantize": _MULTIPLICATIONS}
    quantization.quantize_dynamic(exact, str(FOLDER / "dynamic.onnx"), extra_options=multiplications, **common)
    quantization.quantize_static(
        exact,
        str(FOLDER / "static.onnx"),
        _Calibration(texts["calibration"]),
        quant_format=quantization.QuantFormat.QDQ,
        activation_type=quantization.QuantType.QUInt8,
        extra_options={**multiplications, "OpTypesToExcludeOutputQuantization": _MULTIPLICATIONS},
        **common,
    )
    original = _scores(by_torch(1), texts["trial"], 1)
    json.dump({form: _compared(form, texts["trial"], original) for form in _FORMS}, sys.stdout)


def _export() -> None:
    model = network.load()
    inputs = (torch.ones(2, 9, dtype=torch.int64), torch.ones(2, 9, dtype=torch.int64))
    names = ["input_ids", "attention_mask"]
    dims = {**{name: {0: "batch", 1: "length"} for name in names}, "logits": {0: "batch"}}
    torch.onnx.export(
        model,
        inputs,
        str(FOLDER / "fp32.onnx"),
        input_names=names,
        output_names=["logits"],
        dynamic_axes=dims,
        opset_version=17,
        dynamo=False,
    )


def _scores(logits: Logits, texts: list[str], size: int) -> Any:
    """The scores of each text, [texts, classes]; texts of all lengths share a batch."""
    tokens = tokenizer()
    batches = (encoded(tokens, texts[at : at + size]) for at in range(0, len(texts), size))
    return np.array([softmax(row) for ids, mask in batches for row in logits(ids, mask)])


def _compared(form: Form, texts: list[str], original: Any) -> dict[str, float]:
    run = by_onnxruntime(FOLDER / f"{form}.onnx", 1, spin=False)
    alone, together = _scores(run, texts, 1), _scores(run, texts, _BATCH)
    return {
        "texts": len(texts),
        "agreement": float((alone.argmax(1) == original.argmax(1)).mean()),
        "away": float(np.abs(alone - original).max()),
        "alone": float(np.abs(alone - together).max()),
    }


if __name__ == "__main__":
    main()
