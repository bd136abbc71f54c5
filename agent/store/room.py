"""Which models leave memory so that another one fits, and which uploads fit on the disk: rules without state."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.config import MIB
from agent.store.model import StoredModel
from vaccel_rpc.errors import ResourceExhausted

#: Seconds after which a client that was refused may try again, where it is not known better.
_RETRY_S = 5.0
#: What is needed beside the models in memory: a number of models, and bytes.
_Need = tuple[int, int]
_NOTHING: _Need = (0, 0)


@dataclass(frozen=True, kw_only=True)
class Room:
    """What the models of one agent may take of its memory, and uploads of its disk.

    ``models``: how many may be in memory. ``memory``: bytes for all of them; None: any number.
    ``idle``: seconds without a run after which a model that clients have registered may leave for
    another; one that nobody has registered may leave at any time, and a pinned one never.
    ``uploads``: bytes of the files that clients sent.
    """

    models: int
    memory: int | None = None
    idle: float = 60.0
    uploads: int = 0

    def leaving(self, models: Iterable[StoredModel], size: int, now: float) -> list[StoredModel]:
        """The models that leave for one that takes ``size`` bytes, in this order.

        Those that nobody has registered come first, and then the one unused for longest. ``now``:
        monotonic seconds. Raises `ResourceExhausted` where the others leave too little room.
        """
        if self.memory is not None and size > self.memory:
            raise ResourceExhausted(
                f"the model takes {_mib(size)}, more than all models may: {_mib(self.memory)} (--max-model-memory)",
                reason="models",
            )
        loaded = [model for model in models if model.loaded]
        leaving = self._leaving(loaded, loaded, (1, size), now)
        staying = [model for model in loaded if model not in leaving]
        if not self._fits(staying, (1, size)):
            raise self._refusal(staying, size, now)
        return leaving

    def surplus(self, models: Iterable[StoredModel], now: float) -> list[StoredModel]:
        """The models that leave because those in memory turned out to take more than they may.

        The most recently used model stays. Those that may leave are not always enough: see `exceeded`.
        """
        loaded = sorted((model for model in models if model.loaded), key=lambda model: model.used)
        return self._leaving(loaded, loaded[:-1], _NOTHING, now)

    def exceeded(self, models: Iterable[StoredModel]) -> bool:
        """Whether the models in memory take more than they may."""
        return not self._fits([model for model in models if model.loaded], _NOTHING)

    def leaving_disk(self, models: Iterable[StoredModel], held: int, size: int) -> list[StoredModel]:
        """The models that leave memory, and with it the disk, for an upload of ``size`` bytes, in this order.

        Only what clients sent and nobody has registered any more leaves, the one unused for longest
        first. ``held``: bytes of uploads on the disk. None leaves where that would not be enough.
        """
        leaving = []
        for model in sorted((model for model in models if _is_idle_upload(model)), key=_order):
            if held + size <= self.uploads:
                break
            held -= model.size
            leaving.append(model)
        return leaving if held + size <= self.uploads else []

    def check_upload(self, held: int, size: int) -> None:
        """Raises `ResourceExhausted` unless there is room on the disk for ``size`` bytes more of uploads than the ``held`` ones."""
        if size > self.uploads:
            raise ResourceExhausted(
                f"the model has {size} bytes, more than all uploads may have: {self.uploads} (--max-uploads)", reason="uploads"
            )
        if held + size > self.uploads:
            raise ResourceExhausted(
                f"uploaded models hold {held} bytes; with this one they would exceed --max-uploads",
                retry_after=_RETRY_S,
                reason="uploads",
            )

    def _leaving(
        self, loaded: Sequence[StoredModel], candidates: Iterable[StoredModel], more: _Need, now: float
    ) -> list[StoredModel]:
        """As many of the candidates as have to leave and may, so that the others and ``more`` fit."""
        staying, leaving = list(loaded), []
        for model in sorted((model for model in candidates if self._may_leave(model, now)), key=_order):
            if self._fits(staying, more):
                break
            staying.remove(model)
            leaving.append(model)
        return leaving

    def _may_leave(self, model: StoredModel, now: float) -> bool:
        if model.pinned or model.form is None:
            return False
        return not model.references or now - model.used >= self.idle

    def _fits(self, staying: Sequence[StoredModel], more: _Need) -> bool:
        if len(staying) + more[0] > self.models:
            return False
        return self.memory is None or _memory(staying) + more[1] <= self.memory

    def _refusal(self, staying: Sequence[StoredModel], size: int, now: float) -> ResourceExhausted:
        waits = [self.idle - (now - model.used) for model in staying if not model.pinned]
        retry_after = max(1.0, math.ceil(min(waits, default=_RETRY_S)))
        free = None if self.memory is None else self.memory - _memory(staying)
        if self.memory is not None and free is not None and size > free:
            message = f"the models in use take all of their memory but {_mib(free)} of {_mib(self.memory)} (--max-model-memory)"
        else:
            message = f"{len(staying)} models are loaded and in use, the limit (--max-models)"
        return ResourceExhausted(message, retry_after=retry_after, reason="models")


def _order(model: StoredModel) -> tuple[bool, float]:
    return model.references > 0, model.used


def _is_idle_upload(model: StoredModel) -> bool:
    return bool(model.form and model.form.upload) and not model.references and not model.pinned


def _memory(models: Iterable[StoredModel]) -> int:
    return sum(model.memory for model in models)


def _mib(size: int) -> str:
    return f"{max(0, size) / MIB:.0f} MiB"
