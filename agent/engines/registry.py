"""The engines that load model files, by suffix: torch, and the modules that ``--plugin`` names."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

from agent.store.model import Program

TORCH = "agent.engines.torch.program"


class Device(Protocol):
    """Where models run; torch's plugin makes it. ``threads``: cores to use on a CPU."""

    threads: int

    @property
    def is_cpu(self) -> bool:
        """Whether models run on the CPU."""

    @property
    def precisions(self) -> Collection[str]:
        """Precisions (int8, bf16) of variants that this machine computes faster than float32."""

    def use_threads(self, count: int) -> None:
        """Lets this thread's next runs use ``count`` cores."""


class Plugin(Protocol):
    """An engine: a module, or an object, with these two. What ``load`` gives also has `agent.batching.batcher.Runnable`'s ``run``."""

    @property
    def SUFFIXES(self) -> Sequence[str]:  # noqa: N802 a constant of a module
        """Of the files it loads, such as ``.pt``."""

    def load(self, path: Path, device: Device) -> Program:
        """The program in a file, warmed up: an object that can be hashed and weakly referred to, as any of a plain class.

        Raises `InvalidArgument` with the reason where it is none.
        """


class PluginError(Exception):
    """A plugin that cannot be used; the message names it and says why."""


class Plugins:
    """Torch and the modules ``names``, imported by `load_all`."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = (TORCH, *names)
        self._by_suffix: dict[str, Plugin] = {}

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Of all plugins' files, torch's first."""
        return tuple(self._by_suffix)

    def load_all(self) -> None:
        """Imports them; with torch that takes seconds. Raises `PluginError`."""
        for name in self._names:
            try:
                plugin: Plugin = importlib.import_module(name)
                suffixes = tuple(plugin.SUFFIXES)
            except Exception as error:  # noqa: BLE001 a module may raise anything
                raise PluginError(f"the plugin {name} cannot be loaded: {type(error).__name__}: {error}") from None
            taken = [suffix for suffix in suffixes if suffix in self._by_suffix]
            if taken:
                raise PluginError(f"the plugin {name} cannot be used: another plugin loads {', '.join(taken)}")
            self._by_suffix |= dict.fromkeys(suffixes, plugin)

    def load(self, path: Path, device: Device) -> Program:
        """The program in a file, by the plugin of its suffix; torch's for a file without one, an upload."""
        plugin = self._by_suffix.get(path.suffix) or next(iter(self._by_suffix.values()))
        return plugin.load(path, device)
