"""Texts -> input tensors, by the tokenizer and the signature that came with the model."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Encoding, Tokenizer

from function.options import Truncation
from vaccel_rpc.modelfile import ModelFileError, Signature, TensorSpec
from vaccel_rpc.tensors import Tensor, from_values

#: Input name -> what of an encoding it holds.
_SOURCES = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
#: Neighbouring windows share this part of their length.
_OVERLAP = 0.25


@dataclass(frozen=True)
class Encoded:
    """A text as the model sees it.

    ``windows``: the inputs of each run, in the signature's order; one, unless windows were asked for. ``tokens``: how many the
    model sees; ``whole``: how many the text has; ``truncated``: whether it sees less than the text.
    """

    windows: list[list[Tensor]]
    tokens: int
    whole: int
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
        self._others: dict[Truncation, Tokenizer] = {}
        self._making = threading.Lock()

    @property
    def max_length(self) -> int | None:
        """Tokens that the model sees at most; None: any number."""
        truncation: dict[str, int] | None = self._tokenizer.truncation
        return truncation["max_length"] if truncation else None

    def encode(self, texts: Sequence[str], truncation: Truncation = "head") -> list[Encoded]:
        """Each text, unpadded unless the model's length is fixed."""
        tokenizer = self._tokenizer_for(truncation)
        return [self._encoded(encoding, truncation) for encoding in tokenizer.encode_batch(list(texts))]

    def _tokenizer_for(self, truncation: Truncation) -> Tokenizer:
        length = self.max_length
        if truncation in ("head", "error") or length is None:
            return self._tokenizer
        # How to truncate is a tokenizer's state: threads that want another way need another tokenizer, made at first use.
        with self._making:
            if truncation not in self._others:
                other = Tokenizer.from_str(self._tokenizer.to_str())
                stride = int(length * _OVERLAP) if truncation == "window" else 0
                other.enable_truncation(length, stride=stride, direction="left" if truncation == "tail" else "right")
                self._others[truncation] = other
            return self._others[truncation]

    def _encoded(self, encoding: Encoding, truncation: Truncation) -> Encoded:
        windows = [encoding, *encoding.overflowing] if truncation == "window" else [encoding]
        whole = _whole(encoding) if encoding.overflowing else len(encoding.ids)
        truncated = bool(encoding.overflowing) and truncation != "window"
        return Encoded([self._inputs(w) for w in windows], len(encoding.ids) if truncated else whole, whole, truncated)

    def _inputs(self, encoding: Encoding) -> list[Tensor]:
        return [self._tensor(spec, getattr(encoding, _SOURCES[spec.name])) for spec in self._signature.inputs]

    def _tensor(self, spec: TensorSpec, values: list[int]) -> Tensor:
        dims = [dim if isinstance(dim, int) else (len(values) if dim == self._signature.length else 1) for dim in spec.dims]
        missing = math.prod(dims) - len(values)
        return from_values(spec.dtype, dims, values + [int(spec.pad)] * missing if missing > 0 else values)


def _whole(encoding: Encoding) -> int:
    """Tokens of the whole text: windows may overlap, so it is counted by the places in the text that they stand for."""
    parts = [encoding, *encoding.overflowing]
    places = {
        place for part in parts for place, special in zip(part.offsets, part.special_tokens_mask, strict=True) if not special
    }
    special: int = sum(encoding.special_tokens_mask)
    return len(places) + special


def _read(tokenizer: bytes) -> Tokenizer:
    try:
        return Tokenizer.from_buffer(tokenizer)
    except Exception as error:  # noqa: BLE001 the library raises plain Exception
        raise ModelFileError(f"tokenizer.json: {error}") from None
