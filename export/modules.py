"""Writes a module of torch with its extra files: what is written is compared with the module itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from export.checking import of_module
from export.forms import FORMS, FileForm
from export.pairs import samples
from export.refusal import Refused
from export.samples import untruncated, varied
from export.writing import Limits, Source, require_form, write_checked
from vaccel_common.modelfile import ModelFileError, from_entries


def write_module(
    module: nn.Module,
    out: Path,
    extras: dict[str, str],
    limits: Limits,
    against: str,
    *,
    forms: Mapping[str, FileForm] = FORMS,
    original: str | None = None,
) -> None:
    """Writes ``module`` in one of ``forms``; ``original``: see `export.writing.Source`. Raises `Refused`."""
    require_form(out, half=limits.half, forms=forms)
    try:
        parsed = from_entries({name: text.encode() for name, text in extras.items()})
        signature = parsed.signature
        texts = varied(untruncated(extras["tokenizer.json"]), (signature and signature.max_length) or 512)
        expected = of_module(module, parsed, samples(texts, (signature and signature.pairs) or "refused"), against)
    except ModelFileError as error:
        raise Refused(str(error)) from None
    write_checked(Source(module, expected, limits, forms, original), out, extras)
