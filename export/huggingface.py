"""Reads the folder of a Hugging Face sequence classifier: what is in it is what will run."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from export.autotokenizer import check_embeddings, read_tokenizer, without_tokens_beyond
from export.configuration import Choices, labels_of, problem_type_of, read_config
from export.onnxfiles import onnx_files
from export.refusal import Refused, known, one_line
from vaccel_common.modelfile import Pairs

#: The longest input without ``--max-length`` where the model allows more: the cost of a text grows with its length.
DEFAULT_LONGEST = 512
#: A tokenizer without a limit states a huge one.
_NO_LIMIT = 10**6
_NO_PAD = "no padding token"
#: What families call the number of their positions.
_LIMITS = ("max_position_embeddings", "max_seq_len", "max_sequence_length")


@dataclass(frozen=True)
class Folder:
    """A classifier as it is in its folder, in float32.

    ``tokenizer``: of transformers. ``inputs``: what of an encoding the model takes. ``notes``: where
    each fact that could have been another comes from, one line each. ``pairs``: whether it takes pairs
    of texts (`export.pairs`).
    """

    model: Any
    tokenizer: Any
    labels: list[str]
    problem_type: str
    max_length: int
    pad: int
    inputs: tuple[str, ...]
    notes: list[str] = field(default_factory=list)
    pairs: Pairs = "refused"

    @property
    def family(self) -> str:
        """The name of the family, as ``model_type`` in config.json."""
        return str(self.model.config.model_type)

    def module(self) -> nn.Module:
        """The model with positional inputs and its logits alone as output."""
        return _Logits(self.model, self.inputs).eval()

    def tokenizer_json(self) -> bytes:
        """``tokenizer.json`` as model files hold it: no padding, truncation at the longest input."""
        text = without_tokens_beyond(self.tokenizer.backend_tokenizer.to_str(), _vocabulary(self.model.config))
        tokenizer = Tokenizer.from_str(text)
        return plain_tokenizer(tokenizer, self.max_length, self.tokenizer.truncation_side)


def plain_tokenizer(tokenizer: Tokenizer, max_length: int, side: str | None = None) -> bytes:
    """``tokenizer.json`` as model files hold it: no padding, truncation at ``max_length``.

    ``side``: ``left`` or ``right``; None: as the tokenizer was saved. Raises `Refused` where that leaves no room for a text.
    """
    require_room(tokenizer, max_length)
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length, direction=side or (tokenizer.truncation or {}).get("direction", "right"))
    return str(tokenizer.to_str()).encode()


def checked_pad(pad: int, tokenizer: Tokenizer, option: str) -> int:
    """The token id that pads. Raises `Refused` where it is no token's; ``option``: by which it was chosen."""
    last = max(tokenizer.get_vocab().values(), default=0)
    if not 0 <= pad <= last:
        raise Refused(f"{option} {pad} is no token of the tokenizer, which has 0 to {last}")
    return pad


def require_room(tokenizer: Tokenizer, length: int, texts: int = 1) -> None:
    """Raises `Refused` where ``length`` tokens have no room for a text, or a pair, beside the tokenizer's special ones."""
    special = tokenizer.num_special_tokens_to_add(texts > 1)
    if length < special + texts:
        what = "a text" if texts == 1 else "a pair of texts"
        raise Refused(
            f"--max-length {length} has no room for {what} beside {special} special tokens; the least is {special + texts}"
        )


def read_folder(folder: Path, choices: Choices, *, weights: bool = True) -> Folder:
    """The classifier in ``folder``; without ``weights`` the shape of its model alone.

    Raises `Refused` with the reason in one line.
    """
    try:
        return _read(folder, choices, weights)
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001 transformers raises many kinds
        files = [folder / "config.json", *(_weights(folder) if weights else ())]
        raise known(error, files) or Refused(
            f"transformers cannot load {folder}: {one_line(error).rstrip('.')}{_of_onnx(folder) if weights else ''}"
        ) from None


def _weights(folder: Path) -> list[Path]:
    """The files of which transformers takes the weights: safetensors where there are some."""
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))


def _of_onnx(folder: Path) -> str:
    """What an error adds of a folder whose weights are those of an ONNX file alone."""
    if _weights(folder) or not (files := onnx_files(folder)):
        return ""
    return f"; it has {files[0].relative_to(folder)}, which 'models.export onnx {folder}' takes"


def _read(folder: Path, choices: Choices, weights: bool) -> Folder:
    config = read_config(folder, choices)
    labels = labels_of(config)
    notes: list[str] = []
    problem = problem_type_of(config, choices, notes)
    tokenizer = read_tokenizer(folder, config)
    if choices.max_length is not None:
        require_room(tokenizer.backend_tokenizer, choices.max_length)
    model = _model(folder, config, notes) if weights else _shape(config)
    if unknown := check_embeddings(tokenizer, _vocabulary(config)):
        notes.append(f"special tokens: {_few(unknown)} of the tokenizer are words, for the model has no embeddings of them")
    pad = _pad(model, tokenizer, choices, notes)
    longest = _longest(model, tokenizer, choices, notes)
    if tokenizer.truncation_side == "left":
        notes.append(
            "long texts: the end is kept, by the tokenizer's truncation_side (left); truncation=head keeps the beginning"
        )
    return Folder(model, tokenizer, labels, problem, longest, pad, _inputs(model, tokenizer), notes)


def _model(folder: Path, config: Any, notes: list[str]) -> Any:
    """The model in float32; a note names weights that it has no use for.

    Raises `Refused` where weights are missing or not finite.
    """
    from transformers import AutoModelForSequenceClassification

    model, report = AutoModelForSequenceClassification.from_pretrained(
        folder,
        config=config,
        dtype=torch.float32,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
    )
    if mismatched := sorted(report["mismatched_keys"]):
        name, stored, needed = mismatched[0]
        raise Refused(
            f"the checkpoint's {name} is {list(stored)}, and {list(needed)} by config.json with its {config.num_labels} label(s)"
        )
    if missing := sorted(report["missing_keys"]):
        raise Refused(
            f"the checkpoint lacks {_few(missing)}, which {type(model).__name__} needs and would have at random: "
            "it is not a trained classifier"
        )
    if unused := sorted(report["unexpected_keys"]):
        notes.append(
            f"weights: {_few(unused)} of the checkpoint are not used, as in transformers ({type(model).__name__} has no such)"
        )
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise Refused(f"the checkpoint's {name} has values that are NaN or infinite")
    return model.float().eval()


def _vocabulary(config: Any) -> int:
    return int(config.get_text_config().vocab_size)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _shape(config: Any) -> Any:
    """The model without memory for its weights."""
    from transformers import AutoModelForSequenceClassification

    with torch.device("meta"):
        return AutoModelForSequenceClassification.from_config(config, trust_remote_code=False).eval()


def _pad(model: Any, tokenizer: Any, choices: Choices, notes: list[str]) -> int:
    """The token id that pads. Raises `Refused` where the model needs one and there is none."""
    config = model.config.get_text_config()
    if choices.pad_id is not None:
        if not 0 <= choices.pad_id < config.vocab_size:
            raise Refused(f"--pad-id {choices.pad_id} is no token of the model, which has 0 to {config.vocab_size - 1}")
        config.pad_token_id = model.config.pad_token_id = choices.pad_id
    elif config.pad_token_id is None or not 0 <= config.pad_token_id < config.vocab_size:
        # A number that is no token's is what some have in place of none.
        stated = "names none" if config.pad_token_id is None else f"has {config.pad_token_id}, which is none"
        own = tokenizer.pad_token_id
        pad = own if own is not None and own < config.vocab_size else None
        config.pad_token_id = model.config.pad_token_id = pad
        if pad is not None:
            notes.append(f"padding: token {pad}, from the tokenizer (config.json {stated})")
    if config.pad_token_id is not None:
        return int(config.pad_token_id)
    try:
        with torch.inference_mode(), torch.device(model.device):
            model(input_ids=torch.ones(2, 4, dtype=torch.int64))
    except ValueError as error:
        if _NO_PAD not in str(error):
            raise
        end = tokenizer.eos_token_id
        example = f"--pad-id {end} ({tokenizer.eos_token})" if end is not None else "--pad-id N"
        raise Refused(
            f"{model.config.model_type} finds the end of a text by the padding token, and none is named: {example}"
        ) from None
    return 0


def _longest(model: Any, tokenizer: Any, choices: Choices, notes: list[str]) -> int:
    """The longest input in tokens; a note says where it comes from."""
    limits: dict[str, int] = {}
    for name in _LIMITS:
        positions = getattr(model.config.get_text_config(), name, None)
        if isinstance(positions, int) and positions > 0:
            offset = _offset(model)
            reason = f" less the offset of {offset}" if offset else ""
            limits[f"{name}{reason}"] = positions - offset
    if 0 < tokenizer.model_max_length < _NO_LIMIT:
        limits["the tokenizer's model_max_length"] = tokenizer.model_max_length
    known = min(limits.values(), default=DEFAULT_LONGEST)
    said = "; ".join(f"{name}: {limit}" for name, limit in limits.items()) or "the model states no limit"
    if choices.max_length is not None and choices.max_length > known and limits:
        raise Refused(f"--max-length {choices.max_length} is more than the model takes ({said})")
    longest = choices.max_length or min(known, DEFAULT_LONGEST)
    raised = f"; --max-length raises it to at most {known}" if longest < known and choices.max_length is None else ""
    notes.append(f"longest input: {longest} tokens ({said}{raised})")
    return longest


def _offset(model: Any) -> int:
    """How many positions the family leaves out: RoBERTa and its like count from the padding id + 1."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(getattr(module, "padding_idx", None), int):
            return int(module.padding_idx) + 1
    return 0


def _inputs(model: Any, tokenizer: Any) -> tuple[str, ...]:
    """What of an encoding the model takes; segment ids only where a single text has others than 0."""
    taken = inspect.signature(model.forward).parameters
    inputs = ["input_ids", *(["attention_mask"] if "attention_mask" in taken else [])]
    segments = any(tokenizer("a").get("token_type_ids", ()))
    return (*inputs, "token_type_ids") if segments and "token_type_ids" in taken else tuple(inputs)


class _Logits(nn.Module):
    """A Hugging Face classifier with positional inputs, whose only output is its logits."""

    def __init__(self, model: nn.Module, inputs: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.inputs = inputs
        # A cache of keys is of use to generators alone.
        self.options = {"use_cache": False} if "use_cache" in inspect.signature(model.forward).parameters else {}

    def forward(self, *tensors: Tensor) -> Tensor:
        logits: Tensor = self.model(**dict(zip(self.inputs, tensors, strict=True)), **self.options).logits
        return logits
