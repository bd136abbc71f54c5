"""A minimal classifier with the structure of the model that ships.

It is for tests of files rather than of answers.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import BertConfig, BertModel

from export.archive import write_torchscript
from tests.support.paths import TWEETS
from training.network import PooledClassifier, Pooling
from vaccel_common.modelfile import Pairs, ProblemType

_ENTRIES = ("tokenizer.json", "labels.json", "signature.json")


def write_small_model(
    path: Path, pairs: Pairs | None = None, pooling: Pooling = "cls", problem_type: ProblemType | None = None
) -> Path:
    """Writes a network of one narrow layer with random weights as ``export.commands checkpoint`` would; the path.

    Tokenizer, labels and signature are those of the model that ships; the file has a ``config.json``, so that it can be turned into
    a .pt2 and into variants. ``pairs``, ``problem_type``: what its signature states, where not what that of the model that ships
    does. ``pooling``: mean, as in files from before.
    """
    config = BertConfig(
        vocab_size=30522, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=128, attn_implementation="sdpa", classifier_pooling=pooling,
    )  # fmt: skip
    torch.manual_seed(0)
    network = PooledClassifier(BertModel(config, add_pooling_layer=False), 3).eval()
    names = dict.fromkeys(_ENTRIES, "")
    torch.jit.load(str(TWEETS), _extra_files=names)
    extras = {name: value.decode() if isinstance(value, bytes) else value for name, value in names.items()}
    stated = {name: value for name, value in (("pairs", pairs), ("problem_type", problem_type)) if value}
    if stated:
        extras["signature.json"] = json.dumps({**json.loads(extras["signature.json"]), **stated})
    write_torchscript(network, path, {**extras, "config.json": config.to_json_string()}, half=True)
    return path
