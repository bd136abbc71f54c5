"""The one error of the tools: a model that is refused, with the reason in one line."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

from vaccel_common.modelfile import ProgramKind, program_kind
from vaccel_common.reasons import lines
from vaccel_rpc.errors import RpcError

#: How a file begins that stands for one in Git LFS. Source: the specification of Git LFS, "The Pointer".
_POINTER = b"version https://git-lfs.github.com/spec/v1"
#: Suffixes of weights that are pickles.
_PICKLED = (".bin", ".pt", ".pth")
#: What is in a file, and the command of ``models.export`` that takes it, by the kind of its program.
_KINDS: dict[ProgramKind, tuple[str, str]] = {
    "torchscript": ("a TorchScript file", "torchscript"),
    "export": ("a program of torch.export", "torchexport"),
    "onnx": ("an ONNX file", "onnx"),
}


class Refused(click.ClickException):
    """The model cannot be exported as asked; the message says why, and what would work."""


@contextlib.contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Raises `Refused`, with the file's name and what it is not, for whatever a library raises in this context.

    An ``OSError`` has its file's name already.
    """
    try:
        yield
    except (click.ClickException, OSError):
        raise
    except Exception as error:  # noqa: BLE001 libraries raise many kinds for a damaged file
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        raise known(error, files) or Refused(f"{path} is not {expected}: {one_line(error)}") from None


def known(error: Exception, files: Sequence[Path]) -> Refused | None:
    """What is wrong with one of ``files``, by its name, where a library's ``error`` does not say so; None where that is not known."""
    try:
        refuse_pointers(files)
    except Refused as refused:
        return refused
    if isinstance(error, pickle.UnpicklingError) and (path := next(filter(_is_refused_pickle, files), None)):
        # torch's own message advises to load it nevertheless.
        return Refused(
            f"{path} is not loaded, since it holds more than weights and could run code: a file of weights alone is needed"
        )
    return None


def require_kind(path: Path, kind: ProgramKind) -> None:
    """Raises `Refused` where a file has a program of another kind: the error names the command that takes it."""
    found = program_kind(path)
    if found not in (kind, None):
        title, command = _KINDS[found]
        raise Refused(f"{path} is {title}: 'python -m models.export {command}' takes it")


def refuse_pointers(files: Iterable[Path]) -> None:
    """Raises `Refused` for a file of which Git has fetched a pointer alone, which some libraries would read as text."""
    for path in files:
        if path.is_file():
            with path.open("rb") as file:
                if file.read(len(_POINTER)) == _POINTER:
                    raise Refused(f"{path} is a Git LFS pointer: 'git lfs pull' in its folder fetches the file itself")


def _is_refused_pickle(path: Path) -> bool:
    import torch

    if path.suffix not in _PICKLED:
        return False
    try:
        torch.load(path, map_location="meta", weights_only=True)
    except pickle.UnpicklingError:
        return True
    except Exception:  # noqa: BLE001 torch raises many kinds for a damaged file
        return False
    return False


def one_line(error: BaseException) -> str:
    """An error's first line that says something, with its kind if it has none; a library's is cut at 200 characters."""
    said = lines(error)
    if not said:
        return type(error).__name__
    # Our own errors are one line already, whose end may be the reason of a library.
    return said[0] if isinstance(error, click.ClickException | RpcError) else said[0][:200]
