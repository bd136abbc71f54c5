"""Agents whose one model only takes time; they are ready in a twentieth of the CPU time that the model that ships takes to load."""

from __future__ import annotations

from pathlib import Path

from tests.support.paths import ROOT

#: What a function needs for the model of `napping`.
NAP = {"MODEL": "nap", "TOKENIZER": str(ROOT / "function/tweets.tokenizer")}


def store_of(folder: Path, name: str, content: str) -> tuple[str, ...]:
    """An agent's options for a store with one model that sleeps, ``nap``."""
    store = folder / name
    store.mkdir()
    (store / "nap.sleep").write_text(content)
    return ("--plugin", "tests.support.sleepplugin", "--models", str(store), "--preload", "nap")


def napping(folder: Path) -> tuple[str, ...]:
    """An agent's options for a store with a classifier of texts, ``nap``, that sleeps some ms and answers by a checksum of its tokens."""
    store = folder / "naps"
    store.mkdir(exist_ok=True)
    (store / "nap.nap").touch()
    return ("--plugin", "benchmarks.chaos.engine", "--models", str(store), "--preload", "nap")
