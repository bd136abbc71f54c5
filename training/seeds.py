"""Compares checkpoints of several seeds: ``python -m models.seeds FOLDER...``.

The seed is chosen by macro F1 on the ``tune`` part, on which the calibration was fitted too; the
``validation`` figures of all of them are shown, and decide nothing. Intervals are 95 % bootstrap
ones. Both tables are those of the model card.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from training.data import LABELS
from vaccel_common.commandline import PathType, ToolCommand

_COLUMNS = ("seed", "epoch", "minutes", "tune macro F1", "accuracy", "macro F1", *(f"F1 {name}" for name in LABELS), "ECE")

_FIGURES = (("F1", "f1"), ("precision", "precision"), ("recall", "recall"))


@click.command(cls=ToolCommand, help=__doc__)
@click.argument("folders", type=PathType(exists=True, file_okay=False), nargs=-1, required=True)
@click.option(
    "-o",
    "--out",
    type=PathType(dir_okay=False),
    help="Write the chosen seed's metrics, and the others' beside them.",
)
def main(folders: tuple[Path, ...], out: Path | None) -> None:
    """See the command's help."""
    runs = {folder: _metrics(folder) for folder in folders}
    chosen = max(runs, key=lambda folder: float(runs[folder]["tune"]["macro_f1"]))
    click.echo(f"{seed_table(list(runs.values()))}\n")
    click.echo(f"chosen by the tune part: seed {runs[chosen]['seed']}, {chosen}\n\n{class_table(runs[chosen])}")
    if out:
        out.write_text(json.dumps(runs[chosen] | {"seeds": list(runs.values())}, indent=1) + "\n")


def _metrics(folder: Path) -> dict[str, Any]:
    try:
        metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_bytes())
        seed_table([metrics]), class_table(metrics)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise click.ClickException(f"{folder} is not a checkpoint that models.train wrote: {error}") from None
    return metrics


def seed_table(runs: list[dict[str, Any]]) -> str:
    """A Markdown table of the ``metrics.json`` of checkpoints, a row each."""
    return _table(_COLUMNS, map(_seed, runs))


def class_table(run: dict[str, Any]) -> str:
    """A Markdown table of a ``metrics.json``: each class with its figures and its row of the confusion matrix."""
    figures = run["validation"]
    columns = ("class", *(name for name, _ in _FIGURES), f"predicted {LABELS[0]}", *LABELS[1:])
    rows = [
        (label, *(f"{figures[key][label]:.3f}" for _, key in _FIGURES), *map(str, figures["confusion"][i]))
        for i, label in enumerate(LABELS)
    ]
    return _table(columns, rows)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _seed(run: dict[str, Any]) -> tuple[str, ...]:
    figures, within = run["validation"], run["validation"]["intervals"]
    values = [
        (figures["accuracy"], within["accuracy"]),
        (figures["macro_f1"], within["macro_f1"]),
        *((figures["f1"][name], within["f1"][name]) for name in LABELS),
    ]
    return (
        *(str(run[name]) for name in ("seed", "epoch", "minutes")),
        f"{run['tune']['macro_f1']:.3f}",
        *(f"{value:.3f} ({low:.3f}-{high:.3f})" for value, (low, high) in values),
        f"{figures['calibration_error']:.3f}",
    )


if __name__ == "__main__":
    main()
