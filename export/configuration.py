"""``config.json`` of a Hugging Face folder, and what a user states in its place."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.labels import checked
from export.refusal import Refused
from vaccel_common.modelfile import PROBLEM_TYPES

_CONFIG, _ADAPTER = "config.json", "adapter_config.json"
_SOFTMAX, _SIGMOID, _UNCHANGED = PROBLEM_TYPES
_TASK = "ForSequenceClassification"


@dataclass(frozen=True)
class Choices:
    """What a user sets in place of what the folder says; None for each that stays."""

    max_length: int | None = None
    problem_type: str | None = None
    labels: Sequence[str] | None = None
    pad_id: int | None = None


def read_config(folder: Path, choices: Choices) -> Any:
    """The configuration of transformers, with the labels and the problem type that a user chose.

    Raises `Refused` where the folder is none of a model, or of one for another task, or has an adapter;
    and what transformers raises.
    """
    from transformers import AutoConfig

    _refuse_adapter(folder)
    if not (folder / _CONFIG).is_file():
        raise Refused(f"{folder} has no config.json: it is not the folder of a Hugging Face model")
    stated = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    if not isinstance(stated, dict):
        raise Refused(f"{folder / _CONFIG} is not a JSON object: it is not that of a Hugging Face model")
    _refuse_other_task(stated)
    if choices.labels is None and choices.problem_type is None:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    # What is chosen may take the place of something that transformers refuses to read.
    if choices.labels is not None:
        stated.pop("num_labels", None)
        stated["id2label"] = {str(i): label for i, label in enumerate(choices.labels)}
        stated["label2id"] = {label: i for i, label in enumerate(choices.labels)}
    if choices.problem_type:
        stated["problem_type"] = choices.problem_type
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / _CONFIG).write_text(json.dumps(stated), encoding="utf-8")
        return AutoConfig.from_pretrained(scratch, trust_remote_code=False, local_files_only=True)


def labels_of(config: Any) -> list[str]:
    """The labels by class id. Raises `Refused` where one is missing, no text, or there twice."""
    named = dict(config.id2label)
    hint = ": name all by --labels FILE, a JSON list in the order of class ids"
    if sorted(named) != list(range(len(named))):
        raise Refused(f"id2label in config.json must name the classes 0 to {len(named) - 1}, and names {sorted(named)}{hint}")
    return checked([named[i] for i in range(len(named))], "id2label in config.json", hint)


def problem_type_of(config: Any, choices: Choices, notes: list[str]) -> str:
    """The problem type as transformers' pipeline takes it: one label without a type is a sigmoid; a note says so.

    Raises `Refused` where a softmax of one label was chosen.
    """
    single = config.num_labels == 1
    if config.problem_type in PROBLEM_TYPES and not (single and config.problem_type == _SOFTMAX):
        return str(config.problem_type)
    if choices.problem_type and single:
        raise Refused(
            f"--problem-type {_SOFTMAX} is for two labels or more, and the softmax of one is always 1: "
            f"{_SIGMOID} gives its sigmoid, {_UNCHANGED} its number"
        )
    chosen, scores = (_SIGMOID, "a sigmoid of each output") if single else (_SOFTMAX, "a softmax of the outputs")
    stated = f" (config.json has {config.problem_type!r})" if config.problem_type else ""
    notes.append(f"problem type: {chosen}, {scores}, as transformers' pipeline does for {config.num_labels} label(s){stated}")
    return chosen


def _refuse_adapter(folder: Path) -> None:
    if (folder / _ADAPTER).is_file():
        raise Refused(
            f"{folder} has an adapter ({_ADAPTER}), which a model file cannot have beside the weights: merge it into the model "
            "first (peft: merge_and_unload, then save_pretrained to another folder)"
        )


def _refuse_other_task(stated: dict[str, Any]) -> None:
    """Raises `Refused` where the model was saved by a class of transformers for another task, whose weights may fit by chance."""
    import transformers

    named = stated.get("architectures")
    names = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
    others = [name for name in names if "For" in name and not name.endswith(_TASK) and hasattr(transformers, name)]
    if others and len(others) == len(names):
        raise Refused(
            f"config.json says that the checkpoint is a {others[0]}, which does not classify texts: "
            f"a class of transformers whose name ends in {_TASK} does"
        )
