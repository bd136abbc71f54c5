"""Whether a classifier takes pairs of texts, what of an encoding it needs for them, and pairs to check it with."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace

import torch

from export.huggingface import Folder, require_room
from export.refusal import Refused, one_line
from function.core.texts import Pair, Text
from vaccel_common.modelfile import Pairs

#: The line that says so.
NOTES: dict[Pairs, str] = {
    "allowed": "text pairs: a text may have a second one, text_pair (with --pairs required it must, as for a cross-encoder)",
    "required": "text pairs: each text has a second one, text_pair",
    "refused": "text pairs: refused",
}


def taking(folder: Folder, pairs: Pairs) -> Folder:
    """The folder with the inputs that pairs need. Raises `Refused` where the model fails with a pair, or has no room for one."""
    if pairs != "refused":
        require_room(folder.tokenizer.backend_tokenizer, folder.max_length, texts=2)
    inputs, notes = folder.inputs, [*folder.notes, NOTES[pairs]]
    if pairs != "refused" and "token_type_ids" not in inputs and _segments_matter(folder):
        inputs = (*inputs, "token_type_ids")
    return replace(folder, pairs=pairs, inputs=inputs, notes=notes)


def refusing(folder: Folder, error: Refused) -> Folder:
    """The folder, whose pairs would be wrong, as the ``error`` says."""
    return replace(folder, notes=[*folder.notes, refused_for(error)])


def refused_for(error: Refused) -> str:
    """The line that says why pairs are refused."""
    return f"text pairs: refused, for they would be wrong ({one_line(error)})"


def _segments_matter(folder: Folder) -> bool:
    """Whether the model tells a second text by its segment ids."""
    encoded = folder.tokenizer("the tea", "was cold", return_tensors="pt")
    segments = encoded.get("token_type_ids")
    if segments is None or not segments.any() or "token_type_ids" not in inspect.signature(folder.model.forward).parameters:
        return False
    given = {name: encoded[name] for name in folder.inputs}
    try:
        with torch.inference_mode():
            logits = [folder.model(**given, **more).logits for more in ({}, {"token_type_ids": segments})]
    except Exception as error:  # noqa: BLE001 a model may raise anything
        raise Refused(f"{folder.family} fails with a pair: {one_line(error)}") from None
    return not torch.equal(*logits)


def samples(texts: Sequence[str], pairs: Pairs) -> list[Text]:
    """Texts, pairs of them, or both, as the model takes them; in the order of ``texts``."""
    if pairs == "refused":
        return list(texts)
    paired = [Pair(*both) for both in zip(texts, [*texts[1:], texts[0]], strict=True)]
    if pairs == "required":
        return list(paired)
    return [one for both in zip(texts, paired, strict=True) for one in both]
