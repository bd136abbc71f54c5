"""The ONNX files of a folder, and what belongs to such a file."""

from __future__ import annotations

from pathlib import Path

from agent.engines.onnx.graph import external_files
from export.onnxform import LARGEST
from export.refusal import Refused, known, one_line, refuse_pointers
from vaccel_common.onnxfile import OnnxFileError


def onnx_files(folder: Path) -> list[Path]:
    """Those of the folder and of its folder ``onnx``, where tools put them."""
    return sorted((*folder.glob("*.onnx"), *folder.glob("onnx/*.onnx")))


def file_in(folder: Path, name: Path | None = None) -> Path:
    """The ONNX file that ``name`` names, from here or from the folder; else the only one, or ``model.onnx``.

    Raises `Refused` where there is none, or several.
    """
    if name is not None:
        if found := [path for path in (folder / name, name) if path.is_file()]:
            return found[0]
        raise Refused(f"--file {name}: there is no such file, nor {folder / name}")
    files = onnx_files(folder)
    if len(files) == 1:
        return files[0]
    plain = [path for path in files if path.name == "model.onnx"]
    if len(plain) == 1:
        return plain[0]
    found_files = (
        f"has several, {', '.join(str(path.relative_to(folder)) for path in files)}: name one by --file"
        if files
        else "has no ONNX file"
    )
    raise Refused(f"{folder} {found_files}")


def parts_of(path: Path) -> list[Path]:
    """An ONNX file, and the files with its weights that it names. Raises `Refused` where it is not one."""
    try:
        return [path, *(path.parent / name for name in external_files(path))]
    except OnnxFileError as error:
        raise known(error, [path]) or Refused(f"{path} cannot be read as ONNX: {one_line(error)}") from None


def require_whole(path: Path, largest: int = LARGEST) -> None:
    """Raises `Refused` where files with its weights are missing, or all are too large for one file."""
    parts = parts_of(path)
    if missing := [str(part.relative_to(path.parent)) for part in parts if not part.is_file()]:
        raise Refused(f"{path} has its weights in {', '.join(missing)}, which must be in {path.parent} too")
    refuse_pointers(parts)
    size = sum(part.stat().st_size for part in parts)
    if size > largest:
        raise Refused(
            f"{path} is {size / 1e9:.3g} GB with its weights, and one ONNX file holds at most {largest / 1e9:.3g}: "
            "of the checkpoint, 'models.export huggingface' makes NAME.pt"
        )
