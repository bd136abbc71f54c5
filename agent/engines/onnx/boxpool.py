"""The processes of clients' models that wait for their next run, and the memory that they may keep meanwhile."""

from __future__ import annotations

import itertools
import threading

from agent.engines.onnx.boxprocess import BoxProcess


class BoxPool:
    """Idle processes of all models, which have at most ``memory`` bytes together: those unused for longest end first.

    A model is known by its `number`. The methods may be called in any thread.
    """

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        #: The model and the memory of each, the one unused for longest first.
        self._idle: dict[BoxProcess, tuple[int, int]] = {}
        self._models: dict[int, int] = {}

    @property
    def resident(self) -> int:
        """Bytes that the models in memory have taken, each in one process when it was loaded, whether that has ended or not."""
        with self._lock:
            return sum(self._models.values())

    @property
    def idle(self) -> list[BoxProcess]:
        """The processes that wait."""
        with self._lock:
            return list(self._idle)

    def number(self) -> int:
        """The number of a model that is about to be loaded; `forget` it at its end."""
        return next(self._numbers)

    def loaded(self, model: int, box: BoxProcess) -> None:
        """The model is in memory, in that process, which is idle now."""
        with self._lock:
            self._models[model] = box.resident
        self.put(model, box)

    def take(self, model: int) -> BoxProcess | None:
        """An idle process of the model, which `put` gives back; None where there is none."""
        while True:
            with self._lock:
                box = next((box for box, (own, _) in reversed(self._idle.items()) if own == model), None)
                if box is None:
                    return None
                del self._idle[box]
            if box.alive:
                return box
            box.end()  # as the system may have ended it for want of memory

    def put(self, model: int, box: BoxProcess) -> None:
        """The process is idle."""
        resident, ending = box.resident, []
        with self._lock:
            if model in self._models:
                self._idle[box] = model, resident
            else:
                ending.append(box)
            total = sum(memory for _, memory in self._idle.values())
            while total > self._memory:
                first = next(iter(self._idle))
                total -= self._idle.pop(first)[1]
                ending.append(first)
        for each in ending:
            each.end()

    def forget(self, model: int) -> None:
        """The model is not in memory any more: its processes end."""
        with self._lock:
            self._models.pop(model, None)
            ending = [box for box, (own, _) in self._idle.items() if own == model]
            for box in ending:
                del self._idle[box]
        for box in ending:
            box.end()
