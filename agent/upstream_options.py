"""Upstream's own options: ``--vaccel-config`` and the variable ``RUST_LOG``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vaccel_common import log
from vaccel_common.kinds import Flag

#: The keys of ``--vaccel-config`` that mean something to this agent, and the others.
_KEYS, _IGNORED = ("log_level", "log_file", "profiling_enabled"), ("plugins", "version_ignore")
ALL_KEYS = (*_KEYS, *_IGNORED)
#: libvaccel's levels by number, from 0 on. 0 is its "none"; errors are logged here all the same.
_BY_NUMBER: tuple[log.Level, ...] = ("error", "error", "warn", "info", "debug")
#: The levels of ``RUST_LOG``.
_RUST_LEVELS: dict[str, log.Level] = {
    "off": "error", "error": "error", "warn": "warn", "info": "info", "debug": "debug", "trace": "debug",
}  # fmt: skip
#: The targets of ``RUST_LOG`` that are the agent itself, by upstream's names and ours.
_TARGET = re.compile(r"(?:vaccel|agent)\w*(?:(?:::|\.)\w+)*")


@dataclass(frozen=True)
class VaccelConfig:
    """The values of ``--vaccel-config`` by key, as they were given; later ones replace earlier ones."""

    values: tuple[tuple[str, str], ...] = ()

    @property
    def log_level(self) -> log.Level | None:
        """``log_level``: a word, or libvaccel's number."""
        text = dict(self.values).get("log_level")
        return None if text is None else _level(text)

    @property
    def log_file(self) -> str | None:
        """``log_file``; None is standard error."""
        return dict(self.values).get("log_file")

    @property
    def profiled(self) -> bool:
        """``profiling_enabled``: whether sessions keep the times of their runs."""
        return Flag().parse(dict(self.values).get("profiling_enabled", "true"))

    @property
    def ignored(self) -> list[str]:
        """The keys that have no effect on this agent, each once."""
        return [key for key in dict(self.values) if key in _IGNORED]

    def __str__(self) -> str:
        return ",".join(f"{key}={value}" for key, value in self.values)


def vaccel_config(text: str) -> VaccelConfig:
    """The comma-separated pairs in ``text``. Raises ``ValueError``, naming the invalid one."""
    return VaccelConfig(tuple(_pair(part) for part in text.split(",") if part))


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if key not in ALL_KEYS:
        raise ValueError(f"unknown key {key!r}; the keys are {', '.join(ALL_KEYS)}")
    if not equals:
        raise ValueError(f"{key} has no value; write {key}=VALUE")
    try:
        if key == "log_level":
            _level(value)
        elif key in ("profiling_enabled", "version_ignore"):
            Flag().parse(value)
    except ValueError as error:
        raise ValueError(f"{text}: {error}") from None
    return key, value


def _level(text: str) -> log.Level:
    if text.isascii() and text.isdigit() and int(text) < len(_BY_NUMBER):
        return _BY_NUMBER[int(text)]
    try:
        return log.LEVEL.parse(text)
    except ValueError as error:
        raise ValueError(f"{error}, or a number from 0 to {len(_BY_NUMBER) - 1}") from None


def rust_log(text: str) -> log.Level:
    """The level that a filter in the form of ``RUST_LOG`` sets for the agent; info where it sets none.

    It is a list of ``LEVEL``, ``TARGET`` (all of it) and ``TARGET=LEVEL``; a target that is the
    agent counts more than a level for all. As upstream's logger does, it ignores what it cannot
    read.
    """
    level: log.Level | None = None
    for directive in text.partition("/")[0].split(","):
        target, equals, word = directive.strip().rpartition("=")
        if not equals and _TARGET.fullmatch(word):
            target, word = word, "trace"
        named = _RUST_LEVELS.get(word.lower())
        if named and (_TARGET.fullmatch(target) or (not target and level is None)):
            level = named
    return level or "info"
