"""Texts -> input tensors, by the tokenizer and the signature that came with the model."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Encoding, Tokenizer

from function.core.options import Truncation
from vaccel_common.modelfile import ModelFileError, Signature, TensorSpec
from vaccel_rpc.tensors import Tensor, from_values

#: Input name -> what of an encoding it holds.
_SOURCES = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
#: Neighbouring windows share this part of their length.
_OVERLAP = 0.25


@dataclass(frozen=True)
class Encoded:
    """A text as the model sees it.

    ``windows``: the inputs of each run, in the signature's order; more than one only for the truncation
    ``window``. ``tokens``: how many tokens the model sees; ``total``: how many the text has, special
    ones included; ``truncated``: whether the model sees less than the text; ``blank``: whether the text
    has no token of its own.
    """

    windows: list[list[Tensor]]
    tokens: int
    total: int
    truncated: bool
    blank: bool


class Encoder:
    """Tokenizes texts for one model.

    Raises `ModelFileError` for a tokenizer that cannot be read, or a signature with an input that no
    tokenizer makes.
    """

    def __init__(self, tokenizer: bytes | Tokenizer, signature: Signature) -> None:
        self._tokenizer = tokenizer if isinstance(tokenizer, Tokenizer) else _read(tokenizer)
        self._signature = signature
        for spec in signature.inputs:
            if spec.name not in _SOURCES:
                raise ModelFileError(f"signature.json: input {spec.name!r} is none of {', '.join(_SOURCES)}")
        # Each request chooses how to truncate, whatever the file was saved with.
        self._tokenizer.no_padding()
        if length := self.max_length or signature.max_length:
            self._tokenizer.enable_truncation(length)
        self._special: int = self._tokenizer.num_special_tokens_to_add(False)
        self._others: dict[Truncation, Tokenizer] = {}
        self._lock = threading.Lock()

    @property
    def max_length(self) -> int | None:
        """The largest number of tokens that the model sees; None where there is no limit."""
        truncation: dict[str, int] | None = self._tokenizer.truncation
        return truncation["max_length"] if truncation else None

    def encode(self, texts: Sequence[str], truncation: Truncation = "head") -> list[Encoded]:
        """Each text as tensors, unpadded unless the model's length is fixed."""
        tokenizer = self._tokenizer_for(truncation)
        return [self._encoded(encoding, truncation) for encoding in tokenizer.encode_batch(list(texts))]

    def _tokenizer_for(self, truncation: Truncation) -> Tokenizer:
        length = self.max_length
        if truncation in ("head", "error") or length is None:
            return self._tokenizer
        # How to truncate is a state of the tokenizer: another way needs another tokenizer, made at its
        # first use.
        with self._lock:
            if truncation not in self._others:
                other = Tokenizer.from_str(self._tokenizer.to_str())
                direction = "left" if truncation == "tail" else "right"
                other.enable_truncation(length, stride=self._overlap(truncation), direction=direction)
                self._others[truncation] = other
            return self._others[truncation]

    def _encoded(self, encoding: Encoding, truncation: Truncation) -> Encoded:
        windows = [encoding, *encoding.overflowing] if truncation == "window" else [encoding]
        total = len(encoding.ids) + self._beyond(encoding.overflowing, truncation)
        truncated = bool(encoding.overflowing) and truncation != "window"
        seen = len(encoding.ids) if truncated else total
        return Encoded([self._inputs(w) for w in windows], seen, total, truncated, blank=total == self._special)

    def _beyond(self, overflowing: Sequence[Encoding], truncation: Truncation) -> int:
        """Tokens after the first part of a text: each further part repeats the special tokens, and a
        window also the end of the one before."""
        repeated = self._special + self._overlap(truncation)
        return sum(len(part.ids) - repeated for part in overflowing)

    def _overlap(self, truncation: Truncation) -> int:
        """Tokens that each window shares with the one before."""
        return int((self.max_length or 0) * _OVERLAP) if truncation == "window" else 0

    def _inputs(self, encoding: Encoding) -> list[Tensor]:
        return [self._tensor(spec, getattr(encoding, _SOURCES[spec.name])) for spec in self._signature.inputs]

    def _tensor(self, spec: TensorSpec, values: list[int]) -> Tensor:
        dims = [dim if isinstance(dim, int) else (len(values) if dim == self._signature.length else 1) for dim in spec.dims]
        missing = math.prod(dims) - len(values)
        return from_values(spec.dtype, dims, values + [int(spec.pad)] * missing if missing > 0 else values)


def _read(tokenizer: bytes) -> Tokenizer:
    try:
        return Tokenizer.from_buffer(tokenizer)
    except Exception as error:  # noqa: BLE001 the library raises plain Exception
        raise ModelFileError(f"tokenizer.json: {error}") from None
