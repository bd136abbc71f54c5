"""Loads what runs for a model: its own file, a variant of it, or the quickest of its exact forms.

What runs under a sha256 has been hashed while it was loaded. Files are loaded one after the other,
and no more than two programs of a model are in memory at a time.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from weakref import WeakValueDictionary

from agent.engines.contract import DeviceLost, Program
from agent.store.catalog import Catalog, check_beside, extras_of
from agent.store.contest import MARGIN, Contest
from agent.store.halves import Halves, tried
from agent.store.model import Form, StoredModel
from agent.store.pinned import pinned
from agent.store.variants import EXACT, Candidates
from vaccel_common.modelfile import VariantOf
from vaccel_rpc.errors import FailedPrecondition, NotFound, RpcError

_log = logging.getLogger("agent.store")


#: Reads a file that a client sent into a program; with the client's name for the model.
LoadUpload = Callable[[Path, str], Program]
#: The files that may run in the place of the model with a digest, of the store's variants of it.
Choose = Callable[[str, Sequence[tuple[Path, VariantOf]]], Candidates]


class Loader:
    """Loads models; its methods are for one thread.

    ``load`` reads a file into a program, ``load_upload`` one that a client sent; None: the same. ``memory_used``:
    bytes in use where the program of a file is, so that its own are what they grow by. ``choose``:
    see `Choose`; None: every model runs by its
    own file. ``halves``: see `agent.store.halves`. ``folder``: private, for links to opened files.
    """

    def __init__(
        self,
        load: Callable[[Path], Program],
        load_upload: LoadUpload | None,
        memory_used: Callable[[Path], int],
        catalog: Catalog,
        folder: Path,
        choose: Choose | None,
        halves: Halves,
    ) -> None:
        self._load, self._load_upload = load, load_upload or (lambda path, _: load(path))
        self._memory_used = memory_used
        self._catalog, self._folder, self._choose, self._halves = catalog, folder, choose, halves
        self._numbers = itertools.count(1)
        #: What is in memory, so that one content is loaded once, whichever model it runs for.
        self._forms: WeakValueDictionary[str, Form] = WeakValueDictionary()

    def form(self, model: StoredModel) -> Form:
        """What runs for the model, loaded now.

        Raises `FailedPrecondition` where its file has another content than it was registered for,
        `NotFound` where it is gone, and what the engine raises.
        """
        began = time.monotonic()
        try:
            candidates = self._candidates(model)
            form = self._variant(model, candidates) or self._halved(self._exact(model, candidates), model, candidates)
        except RpcError as error:
            _log.warning("Model %s cannot be loaded: %s", model, error.message)
            raise
        _log.info("Loaded model %s in %.1f s%s", *_described(model, form, time.monotonic() - began))
        return form

    def _candidates(self, model: StoredModel) -> Candidates:
        # A client that names a variant, or sends a file, gets that one.
        if self._choose is None or model.uploaded or model.variant:
            return Candidates()
        return self._choose(model.digest, self._catalog.variants(model.digest))

    def _variant(self, model: StoredModel, candidates: Candidates) -> Form | None:
        """The quickest variant of the best precision of which one can be loaded."""
        for group in candidates.groups:
            holder: Form | None = None
            for path in group:
                holder = self._challenged(holder, path, model, None)
                give_back()
            if holder:
                return holder
        return None

    def _exact(self, model: StoredModel, candidates: Candidates) -> Form:
        """The model's own file, or a form that gives the same answers in less time."""
        if model.path is None:
            raise NotFound(f"the file of {model} has been removed")
        holder = self._read(model.path, model.digest, model.others, sent=model.name if model.uploaded else None)
        contest = self._contest(holder) if candidates.exact else None
        for path in candidates.exact if contest else ():
            holder = self._challenged(holder, path, model, contest) or holder
            give_back()
        return holder

    def _halved(self, holder: Form, model: StoredModel, candidates: Candidates) -> Form:
        """The model's own file in the first half precision in which it may run and is quicker, else the holder."""
        if model.path is None or not candidates.halves:
            return holder
        for precision, load in self._halves(model.path).items():
            half = self._half(holder, model, model.path, precision, load)
            give_back()
            if half:
                return half
        return holder

    def _half(self, holder: Form, model: StoredModel, path: Path, precision: str, load: Callable[[Path], Program]) -> Form | None:
        """The model's file in that precision; None, and a line in the log, where it does not run so."""
        try:
            form = self._opened(path, model.digest, model.others, load)
            trial = tried(holder.program, form.program)
        except (RpcError, DeviceLost) as error:
            trial = str(error)
        if isinstance(trial, str) or trial.refusal:
            _log.info("%s does not run in %s: %s", model, precision, trial if isinstance(trial, str) else trial.refusal)
            return None
        _log.info("%s runs in %s: %s", model, precision, trial)
        return replace(form, variant=VariantOf(model.digest, precision, trial.labels / trial.examples, trial.examples))

    def _challenged(self, holder: Form | None, path: Path, model: StoredModel, contest: Contest | None) -> Form | None:
        """The file's form instead of the holder, if it is the quicker one; no other reference stays."""
        form = self._candidate(path, model)
        return self._quicker(holder, form, contest) if holder and form else holder or form

    def _contest(self, registered: Form) -> Contest | None:
        if registered.program.signature is None:
            _log.info("%s has no signature: its other forms are not tried", registered)
            return None
        try:
            return Contest(registered.program)
        except (RpcError, DeviceLost) as error:
            _log.warning("%s cannot be compared with its other forms: %s", registered, error)
            return None

    def _candidate(self, path: Path, model: StoredModel) -> Form | None:
        """The program in a file beside the model's; None, and a line in the log, where it fails."""
        try:
            form = self._read(path, self._catalog.digest(path), self._catalog.others(path))
        except RpcError as error:
            _log.warning("%s does not run for %s: %s", path.name, model, error.message)
            return None
        if form.variant is None or form.variant.of != model.digest:
            _log.warning("%s does not run for %s: it is no longer a variant of it", path.name, model)
            return None
        return form

    def _quicker(self, holder: Form, form: Form, contest: Contest | None) -> Form:
        """The form instead of the holder, if it has the same answers and is clearly quicker."""
        try:
            contest, reason = (contest, contest.difference(form.program)) if contest else (Contest(holder.program), None)
            ratio = 0.0 if reason else contest.ratio(holder.program, form.program)
        except (RpcError, DeviceLost, ValueError) as error:
            reason = f"it cannot be timed: {error}"
        if reason:
            _log.warning("%s does not run in place of %s: %s", form.file, holder.file, reason)
            return holder
        winner = form if ratio < MARGIN else holder
        _log.info("%s takes %.2f of the time of %s: %s runs", form.file, ratio, holder.file, winner.file)
        return winner

    def _read(self, path: Path, digest: str, others: Sequence[str], *, sent: str | None = None) -> Form:
        """The program in a file of that content, with the ``others``. Raises what `form` raises.

        ``sent``: the name by which a client sent the file; None for one of the store.
        """
        if form := self._forms.get(digest):
            return form
        load = self._load if sent is None else lambda path: self._load_upload(path, sent)
        form = self._opened(path, digest, others, load, sent)
        self._forms[digest] = form
        return form

    def _opened(
        self, path: Path, digest: str, others: Sequence[str], load: Callable[[Path], Program], sent: str | None = None
    ) -> Form:
        """The same, loaded now by ``load``."""
        # The folder's name has the form of an upload's, by which another agent removes what this
        # one leaves when it is killed.
        with pinned(path, others, self._folder / f"{digest}-0{next(self._numbers)}") as opened:
            if sent is None:
                check_beside(path, opened.own)
            if opened.digest != digest:
                raise FailedPrecondition(
                    f"{path.name} has changed since it was registered as sha256:{digest[:12]}: it is"
                    f" sha256:{opened.digest[:12]} now; register it again"
                )
            extras = extras_of(opened.path)
            before = self._in_use(opened.path)
            program = load(opened.path)
            memory = self._in_use(opened.path) - before
            opened.check()
        # What an earlier program gave back is taken again without growing, so that a model counts
        # as no smaller than its files.
        memory = max(memory, opened.size)
        upload = None if sent is None else path
        return Form(sent or path.stem, sent or path.name, digest, program, memory, extras.variant, extras.labels, upload)

    def _in_use(self, path: Path) -> int:
        """The bytes that are in use where the program of a file is; loading takes more than a program keeps."""
        _trim()
        return self._memory_used(path)


def give_back() -> None:
    """Gives the memory of programs that are not used any more back to the system."""
    gc.collect()  # torch.export's modules are in cycles
    _trim()


def _trim() -> None:
    with contextlib.suppress(AttributeError, OSError):  # a C library other than glibc
        ctypes.CDLL(None).malloc_trim(0)


def _described(model: StoredModel, form: Form, seconds: float) -> tuple[StoredModel | Form, float, str]:
    """What the log says: the model or the variant that runs for it, and what is special about it."""
    of = form.variant
    if of is None:
        return model, seconds, ""
    if of.precision == EXACT:
        kind = "an exact form" if form.digest == model.digest else f"{form.file} (sha256:{form.digest[:12]}) runs, an exact form"
        return model, seconds, f": {kind} of sha256:{of.of[:12]}"
    if form.digest == of.of:
        return form, seconds, f": in {of.precision}"
    share = f"{of.agreement:.2%} of {of.texts} texts" if of.texts else "an unknown share of texts"
    return form, seconds, f": the {of.precision} variant of sha256:{of.of[:12]}, with its label on {share}"
