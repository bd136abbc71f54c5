"""What the files of the store are: what they refer to, and the models that they are variants of.

Reads files: its methods are for threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from agent.store.filecache import FileCache
from agent.store.folder import StoreFolder
from agent.store.pinned import sha256_of
from agent.store.several import MAX_FILES, check_references, content_digest, model_among
from vaccel_common.digestfile import digest_beside
from vaccel_common.interface import ModelInterface, interface_of
from vaccel_common.modelfile import Extras, ModelFileError, VariantOf, read_extras
from vaccel_rpc.errors import FailedPrecondition, InvalidArgument, NotFound

#: The names of the files that a model refers to, in its folder. Raises `RpcError`.
Referred = Callable[[Path], Sequence[str]]


class Catalog:
    """The store's files."""

    def __init__(self, folder: StoreFolder, referred: Referred) -> None:
        self._folder = folder
        self._referred = FileCache(referred)
        self._digests, self._variants = FileCache(_named_digest), FileCache(_variant_of)
        self._interfaces = FileCache(_interface_of)

    def others(self, path: Path) -> Sequence[str]:
        """The names of the other files of a model, in its folder, from which none leads out.

        Raises `NotFound` where a file cannot be read, `InvalidArgument` where the model is damaged
        or refers to other places.
        """
        names = self._referred.of(path)
        if len(names) >= MAX_FILES:
            raise InvalidArgument(f"{path.name} refers to {len(names)} files; a model has at most {MAX_FILES}")
        if path.name in names:
            raise InvalidArgument(f"{path.name} refers to itself for its external data, which is in another file")
        for name in names:
            if not self._folder.has(path.parent / name):
                raise NotFound(f"{path.name} refers to {name!r}, which is not in the store")
        return names

    def digest(self, path: Path) -> str:
        """The sha256 of a model's content, as the files beside its files say, or of the files.

        Loading it checks that. Raises `NotFound` where it cannot be read, `FailedPrecondition`
        where a file beside it has no sha256, and what `others` raises.
        """
        others = {name: self._digests.of(path.parent / name) for name in self.others(path)}
        return content_digest(self._digests.of(path), others)

    def several(self, paths: Sequence[str]) -> Path:
        """The model among the paths of all its files, as a client names them. Raises `RpcError`."""
        at = model_among(paths, self._folder.suffixes)
        model = self._folder.resolve(paths[at])
        others = [self._folder.resolve(path, exactly=True) for i, path in enumerate(paths) if i != at]
        if len(set(others)) != len(others):
            raise InvalidArgument("a file of the model is given twice")
        names = [str(path.relative_to(model.parent)) if path.is_relative_to(model.parent) else path.name for path in others]
        check_references(model.name, names, self.others(model))
        return model

    def about(self, path: Path) -> tuple[VariantOf | None, int]:
        """The model that the file is a variant of, None for an original; and the bytes of its files.

        Raises what `others` raises.
        """
        variant, others = self._variants.of(path), self.others(path)
        try:
            return variant, sum((path.parent / name).stat().st_size for name in (path.name, *others))
        except OSError as error:
            raise NotFound(f"{path.name} cannot be read: {error.strerror}") from None

    def interface(self, path: Path) -> ModelInterface:
        """What clients have of the model beside its program. Raises `NotFound`."""
        return self._interfaces.of(path)

    def files(self) -> list[tuple[Path, VariantOf | None]]:
        """The folder's files, each with the model that it is a variant of, None for an original."""
        return [(path, self._variant_if_any(path)) for path in self._folder.files()]

    def variants(self, digest: str) -> list[tuple[Path, VariantOf]]:
        """The files that are variants of the model with that digest."""
        return [(path, variant) for path, variant in self.files() if variant and variant.of == digest]

    def _variant_if_any(self, path: Path) -> VariantOf | None:
        try:
            return self._variants.of(path)
        except NotFound:  # it has just been removed
            return None


def extras_of(path: Path) -> Extras:
    """The entries of the model's file; none where it is not an archive, which loading it will say."""
    try:
        return read_extras(path)
    except (ModelFileError, OSError):
        return Extras(None, None, None, None)


def check_beside(path: Path, digest: str) -> None:
    """Raises `FailedPrecondition` where the file beside ``path`` says another sha256 than its own.

    ``digest``: that of its content.
    """
    if (stated_digest(path) or digest) != digest:
        raise mismatch(path)


def mismatch(path: Path) -> FailedPrecondition:
    """What is raised for a file whose content has another sha256 than the file beside it says."""
    return FailedPrecondition(f"{path.name} does not match {path.name}.sha256: the file or its digest is damaged")


def stated_digest(path: Path) -> str | None:
    """The sha256 that the file beside ``path`` says; None without such a file.

    Raises `FailedPrecondition` where it has none, `NotFound` where it cannot be read.
    """
    try:
        return digest_beside(path)
    except ModelFileError as error:
        raise FailedPrecondition(str(error).replace(str(path), path.name)) from None
    except OSError as error:
        raise NotFound(f"{path.name}.sha256 cannot be read: {error.strerror}") from None


def _named_digest(path: Path) -> str:
    return stated_digest(path) or sha256_of(path)


def _variant_of(path: Path) -> VariantOf | None:
    return extras_of(path).variant


def _interface_of(path: Path) -> ModelInterface:
    return interface_of(extras_of(path))
