"""Writes the tokenizer file of a model: ``python -m models.tokenizer MODEL -o OUT``.

A function that has no model file uses it instead (TOKENIZER). Writing one needs no torch.
``function/tweets.tokenizer`` in the wheel is that of ``models/tweets.pt``.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import click

from export.outputs import CannotWrite, drafts, require_other, write_digest
from export.refusal import refuse_pointers
from vaccel_common.commandline import PathType, ToolCommand
from vaccel_common.digestfile import beside
from vaccel_common.modelfile import ModelFileError, program_kind, read_entries, read_extras

_ENTRIES = ("tokenizer.json", "labels.json", "signature.json", "about.json")


def write_tokenizer_file(model: Path, out: Path) -> None:
    """Writes a zip with the tokenizer, labels, signature, description and sha256 of ``model``.

    The same model gives the same bytes. Raises `ModelFileError` if the model lacks one of these, `Refused` where ``out``
    is the model itself, and `CannotWrite`; a file that was there is then as before.
    """
    require_other(out, model)
    refuse_pointers([model])
    extras = read_extras(model)
    if extras.tokenizer is None or extras.signature is None or extras.labels is None:
        raise ModelFileError(f"{model} must contain tokenizer.json, labels.json and signature.json; one is missing")
    entries = {name: data for name, data in read_entries(model).items() if name in _ENTRIES}
    described = {"name": model.stem, "sha256": write_digest(model)}
    if (kind := program_kind(model)) != "torchscript":
        described["kind"] = str(kind)
    entries["model.json"] = json.dumps(described).encode()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as target:
        for name, data in sorted(entries.items()):
            target.writestr(zipfile.ZipInfo(name), data)
    _write(content.getbuffer(), out)


def _write(content: memoryview, out: Path) -> None:
    if out.exists() and not out.is_file():
        # A pipe or a device takes what is written, and must not be replaced.
        try:
            out.write_bytes(content)
        except OSError as error:
            raise CannotWrite(f"--out {out}: {error.strerror}") from None
        return
    with drafts(out) as folder:
        draft = folder / "draft"
        draft.write_bytes(content)
        draft.replace(out)


@click.command(cls=ToolCommand, name="tokenizer")
@click.argument("model", type=PathType(exists=True, dir_okay=False))
@click.option("-o", "--out", type=PathType(), required=True, help="The tokenizer file to write.")
def main(model: Path, out: Path) -> None:
    """Write the tokenizer file of MODEL, for a function that has no model file (TOKENIZER)."""
    try:
        write_tokenizer_file(model, out)
    except OSError as error:
        # A full disk's error names no file: it is the digest, which is written beside the model.
        raise click.ClickException(f"{error.filename or beside(model)}: {error.strerror}") from None
    named = read_extras(out).model or {}
    click.echo(f"{out}: {out.stat().st_size / 1e6:.2f} MB, of the model {named['name']}, sha256 {named['sha256']}")


if __name__ == "__main__":
    main()
