"""Texts -> input tensors, by the tokenizer and the signature that came with the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Encoding, Tokenizer

from vaccel_rpc.modelfile import ModelFileError, Signature, TensorSpec
from vaccel_rpc.tensors import Tensor, from_values

#: Input name -> what of an encoding it holds.
_SOURCES = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


@dataclass(frozen=True)
class Encoded:
    """A text's inputs in the signature's order; ``tokens``: how many the model sees; ``truncated``: whether that is not all."""

    inputs: list[Tensor]
    tokens: int
    truncated: bool


class Encoder:
    """Tokenizes for one model. Raises `ModelFileError` for a tokenizer that cannot be read or an input that is not a text's."""

    def __init__(self, tokenizer: bytes | Tokenizer, signature: Signature) -> None:
        self._tokenizer = tokenizer if isinstance(tokenizer, Tokenizer) else _read(tokenizer)
        self._signature = signature
        for spec in signature.inputs:
            if spec.name not in _SOURCES:
                raise ModelFileError(f"signature.json: input {spec.name!r} is none of {', '.join(_SOURCES)}")
        if signature.max_length and self._tokenizer.truncation is None:
            self._tokenizer.enable_truncation(signature.max_length)

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Each text as one row, unpadded unless the model's length is fixed."""
        return [self._encoded(encoding) for encoding in self._tokenizer.encode_batch(list(texts))]

    def _encoded(self, encoding: Encoding) -> Encoded:
        inputs = [self._tensor(spec, getattr(encoding, _SOURCES[spec.name])) for spec in self._signature.inputs]
        return Encoded(inputs, len(encoding.ids), bool(encoding.overflowing))

    def _tensor(self, spec: TensorSpec, values: list[int]) -> Tensor:
        dims = [dim if isinstance(dim, int) else (len(values) if dim == self._signature.length else 1) for dim in spec.dims]
        missing = math.prod(dims) - len(values)
        return from_values(spec.dtype, dims, values + [int(spec.pad)] * missing if missing > 0 else values)


def _read(tokenizer: bytes) -> Tokenizer:
    try:
        return Tokenizer.from_buffer(tokenizer)
    except Exception as error:  # noqa: BLE001 the library raises plain Exception
        raise ModelFileError(f"tokenizer.json: {error}") from None
