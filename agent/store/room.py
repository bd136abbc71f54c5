"""Which models leave memory so that another one fits, and which uploads fit on the disk: rules without state."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from agent.store.model import StoredModel
from vaccel_rpc.errors import ResourceExhausted

#: Seconds after which a client that was refused may try again, where it is not known better.
_RETRY_S = 5.0
_MIB = 1 << 20


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
        count, memory = len(loaded) + 1, sum(model.memory for model in loaded) + size
        leaving: list[StoredModel] = []
        for model in sorted((model for model in loaded if self._may_leave(model, now)), key=_order):
            if self._fits(count, memory):
                break
            leaving.append(model)
            count, memory = count - 1, memory - model.memory
        if not self._fits(count, memory):
            raise self._refusal(count, memory, [model for model in loaded if model not in leaving], now)
        return leaving

    def surplus(self, models: Iterable[StoredModel], now: float) -> list[StoredModel]:
        """The models that leave because those in memory turned out to take more than they may.

        As many as may leave, which may be too few; the one that was used last stays.
        """
        loaded = sorted((model for model in models if model.loaded), key=lambda model: model.used)
        memory = sum(model.memory for model in loaded)
        leaving: list[StoredModel] = []
        for model in sorted((model for model in loaded[:-1] if self._may_leave(model, now)), key=_order):
            if self._fits(0, memory):
                break
            leaving.append(model)
            memory -= model.memory
        return leaving

    def exceeded(self, models: Iterable[StoredModel]) -> bool:
        """Whether the models in memory take more than they may."""
        return not self._fits(0, sum(model.memory for model in models if model.loaded))

    def check_upload(self, models: Iterable[StoredModel], size: int) -> None:
        """Raises `ResourceExhausted` unless there is room for ``size`` bytes more of uploads."""
        if size > self.uploads:
            raise ResourceExhausted(
                f"the model has {size} bytes, more than all uploads may have: {self.uploads} (--max-uploads)", reason="uploads"
            )
        held = sum(model.size for model in models if model.uploaded and model.path)
        if held + size > self.uploads:
            raise ResourceExhausted(
                f"uploaded models hold {held} bytes; with this one they would exceed --max-uploads",
                retry_after=_RETRY_S,
                reason="uploads",
            )

    def _may_leave(self, model: StoredModel, now: float) -> bool:
        if model.pinned or model.form is None:
            return False
        return not model.references or now - model.used >= self.idle

    def _fits(self, count: int, memory: int) -> bool:
        return count <= self.models and (self.memory is None or memory <= self.memory)

    def _refusal(self, count: int, memory: int, staying: list[StoredModel], now: float) -> ResourceExhausted:
        waits = [self.idle - (now - model.used) for model in staying if not model.pinned]
        retry_after = max(1.0, math.ceil(min(waits, default=_RETRY_S)))
        if self.memory is not None and memory > self.memory:
            message = (
                f"the models in use take all of their memory but {_mib(self.memory - sum(model.memory for model in staying))}"
                f" of {_mib(self.memory)} (--max-model-memory)"
            )
        else:
            message = f"{count - 1} models are loaded and in use, the limit (--max-models)"
        return ResourceExhausted(message, retry_after=retry_after, reason="models")


def _order(model: StoredModel) -> tuple[bool, float]:
    return model.references > 0, model.used


def _mib(size: int) -> str:
    return f"{max(0, size) / _MIB:.0f} MiB"
