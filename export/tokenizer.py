"""The tokenizer file of a model, for a function that has no model file: ``python -m models.tokenizer MODEL -o OUT``.

Needs no torch: an image of the function is built with it.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import click

from vaccel_common.modelfile import ModelFileError, read_extras

_ENTRIES = ("tokenizer.json", "labels.json", "signature.json")


def write_digest(path: Path) -> str:
    """Write ``PATH.sha256`` in sha256sum's format; the digest."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    path.with_name(path.name + ".sha256").write_text(f"{digest}  {path.name}\n")
    return digest


def write_tokenizer_file(model: Path, out: Path) -> None:
    """The zip a function uses instead of the model file (environment ``TOKENIZER``); the same bytes for the same model.

    Raises `ModelFileError` without a tokenizer.
    """
    extras = read_extras(model)
    if extras.tokenizer is None or extras.signature is None or extras.labels is None:
        raise ModelFileError(f"{model}: tokenizer.json, labels.json and signature.json are needed, one is missing")
    entries = {"model.json": json.dumps({"name": model.stem, "sha256": write_digest(model)}).encode()}
    with zipfile.ZipFile(model) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as target:
        for name in source.namelist():
            if "/extra/" in name and name.rsplit("/", 1)[-1] in _ENTRIES:
                entries[name.rsplit("/", 1)[-1]] = source.read(name)
        for name, data in sorted(entries.items()):
            target.writestr(zipfile.ZipInfo(name), data)


@click.command(name="tokenizer")
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True)
def main(model: Path, out: Path) -> None:
    """The tokenizer file of MODEL, for a function that has no model file (environment TOKENIZER)."""
    try:
        write_tokenizer_file(model, out)
    except (ModelFileError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB; model {read_extras(out).model}")


if __name__ == "__main__":
    main()
