"""Agents whose one model only takes time."""

from __future__ import annotations

from pathlib import Path


def store_of(folder: Path, name: str, content: str) -> tuple[str, ...]:
    """An agent's options for a store with one model that sleeps, ``nap``."""
    store = folder / name
    store.mkdir()
    (store / "nap.sleep").write_text(content)
    return ("--plugin", "tests.support.sleepplugin", "--models", str(store), "--preload", "nap")
