"""Whether the model takes a text of the input alone, or with a second one; errors name the command's options."""

from __future__ import annotations

from function.cli.lines import InputForm
from function.core.options import Unusable
from function.core.texts import PAIR_FORM, Pair, Text
from vaccel_common.modelfile import Pairs


def fitting(text: Text | Unusable, pairs: Pairs, form: InputForm, pair_column: str | None) -> Text | Unusable:
    """The text, or why a model that states ``pairs`` does not take it.

    Of JSON lines the classifier's own errors are right: they name the fields.
    """
    if form == "jsonl" or isinstance(text, Unusable):
        return text
    if isinstance(text, Pair):
        if pairs == "refused":
            return Unusable(
                f"the column {pair_column!r} has a second text; this model takes single texts: leave out --pair-column"
            )
    elif pairs == "required":
        return Unusable(f"the text has no second one; this model takes pairs of texts: {_right(form, pair_column)}")
    return text


def _right(form: InputForm, pair_column: str | None) -> str:
    if form == "lines":
        return f"give a .csv or .tsv file and --pair-column, or a .jsonl file with {PAIR_FORM} on each line"
    if pair_column is None:
        return "name the column of the second texts with --pair-column"
    return f"the column {pair_column!r} is empty"
