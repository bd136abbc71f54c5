"""Texts -> input tensors, by the tokenizer and the signature that came with the model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tokenizers import Encoding, Tokenizer

from function.core.options import Truncation
from function.core.texts import Pair, Text
from vaccel_common.modelfile import ModelFileError, Pairs, Signature, TensorSpec
from vaccel_common.records import record
from vaccel_rpc.tensors import Tensor, from_values

#: Input name -> what of an encoding it holds.
_SOURCES = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
#: Neighbouring windows share this part of their length.
_OVERLAP = 0.25


@record
class Encoded:
    """A text, or a pair, as the model sees it.

    ``windows``: the inputs of each run, in the signature's order; more than one only for the truncation
    ``window``. ``tokens``: how many tokens the model sees; ``total``: how many the text has, special
    ones included; ``truncated``: whether the model sees less than the text; ``blank``: whether the text,
    or one of a pair, has no token of its own.
    """

    windows: list[list[Tensor]]
    tokens: int
    total: int
    truncated: bool
    blank: bool


class Encoder:
    """Tokenizes texts for one model, by a tokenizer that is the encoder's own from then on.

    ``max_length``: the largest number of tokens that the model sees; None where there is no limit.
    ``side``: how a long text is truncated unless a request says otherwise: ``head``, or ``tail`` for a
    tokenizer that truncates on the left. ``pairs``: whether a text may, must or cannot have a second one.

    Raises `ModelFileError` for a tokenizer that cannot be read, or a signature with an input that no
    tokenizer makes.
    """

    def __init__(self, tokenizer: bytes | Tokenizer, signature: Signature) -> None:
        self._tokenizer = tokenizer if isinstance(tokenizer, Tokenizer) else _read(tokenizer)
        self._signature = signature
        for spec in signature.inputs:
            if spec.name not in _SOURCES:
                raise ModelFileError(f"signature.json: input {spec.name!r} is none of {', '.join(_SOURCES)}")
        truncation = self._tokenizer.truncation or {}
        self.max_length: int | None = truncation.get("max_length") or signature.max_length
        self.side: Truncation = "tail" if truncation.get("direction") == "left" else "head"
        # Texts are truncated here: the library would make every combination of the parts of two long texts.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._special: int = self._tokenizer.num_special_tokens_to_add(False)
        if self.max_length is not None and self.max_length <= self._special:
            raise ModelFileError(f"a text of {self.max_length} tokens has no room beside {self._special} special ones")
        self.pairs: Pairs = signature.pairs or self._pairs()

    def encode(self, texts: Sequence[Text], truncation: Truncation | None = None) -> list[Encoded]:
        """Each text as tensors, unpadded unless the model's length is fixed. ``truncation`` None: by `side`.

        Of a pair the longer text is truncated first, until both are equally long. For ``window`` the shorter
        one is in every window; where neither fits into half of one, there is one window, truncated.
        """
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        how = truncation or self.side
        return [self._encoded(encoding, text, how) for encoding, text in zip(encodings, texts, strict=True)]

    def _pairs(self) -> Pairs:
        """Pairs are refused where the model cannot see what the tokenizer tells the second text by."""
        segments = any(spec.name == "token_type_ids" for spec in self._signature.inputs)
        (encoding,) = self._tokenizer.encode_batch_fast([("a", "a")])
        return "allowed" if segments or not any(encoding.type_ids) else "refused"

    def _encoded(self, encoding: Encoding, text: Text, truncation: Truncation) -> Encoded:
        total = len(encoding)
        blank = not {0, 1} <= set(encoding.sequence_ids) if isinstance(text, Pair) else total == self._special
        values = [getattr(encoding, _SOURCES[spec.name]) for spec in self._signature.inputs]
        if self.max_length is None or total <= self.max_length:
            return Encoded([self._inputs(values)], total, total, truncated=False, blank=blank)
        parts = list(_parts(encoding.sequence_ids, self.max_length, truncation))
        truncated = truncation != "window" or (isinstance(text, Pair) and len(parts) == 1)
        windows = [self._inputs([[column[place] for place in part] for column in values]) for part in parts]
        return Encoded(windows, len(parts[0]) if truncated else total, total, truncated, blank)

    def _inputs(self, values: Sequence[list[int]]) -> list[Tensor]:
        return [self._tensor(spec, column) for spec, column in zip(self._signature.inputs, values, strict=True)]

    def _tensor(self, spec: TensorSpec, values: list[int]) -> Tensor:
        dims = [dim if isinstance(dim, int) else (len(values) if dim == self._signature.length else 1) for dim in spec.dims]
        missing = math.prod(dims) - len(values)
        return from_values(spec.dtype, dims, values + [int(spec.pad)] * missing if missing > 0 else values)


def _parts(texts: Sequence[int | None], length: int, truncation: Truncation) -> Iterator[list[int]]:
    """The places of the tokens in each part that the model sees, in order.

    ``texts``: for each token 0 or 1, the text that it is of, or None for a special token, which every part
    has. ``length``: at most so many tokens in a part.
    """
    special, first, second = ([place for place, text in enumerate(texts) if text == which] for which in (None, 0, 1))
    room = length - len(special)
    shares = _shares(len(first), len(second), room)
    if truncation == "window" and min(len(first), len(second)) <= room // 2:
        kept, long, share = (second, first, shares[0]) if len(first) > shares[0] else (first, second, shares[1])
        overlap = min(int(length * _OVERLAP), share // 2)
        for start in range(0, len(long) - overlap, share - overlap):
            yield sorted([*special, *kept, *long[start : start + share]])
    elif truncation == "tail":
        yield sorted([*special, *first[len(first) - shares[0] :], *second[len(second) - shares[1] :]])
    else:
        yield sorted([*special, *first[: shares[0]], *second[: shares[1]]])


def _shares(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of two texts stay, which together have more than ``room``: the tokenizers library's ``longest_first``."""
    short = min(first, second, room // 2)
    return (short, room - short) if first <= second else (room - short, short)


def _read(tokenizer: bytes) -> Tokenizer:
    try:
        return Tokenizer.from_buffer(tokenizer)
    except Exception as error:  # noqa: BLE001 the library raises plain Exception
        raise ModelFileError(f"tokenizer.json: {error}") from None
