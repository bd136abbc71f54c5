"""The network: a pretrained BERT encoder, what is read of its states, and one linear layer.

The first token is read, as by most classifiers: of the last layer nothing else is needed, which an
engine can make use of. Files from before that read the mean of all tokens.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

#: What is read of the states: the first token's, or the mean of all tokens'. ``config.json`` says
#: which, by the name that ModernBERT has for it; without it, the mean.
Pooling = Literal["cls", "mean"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


class PooledClassifier(nn.Module):
    """A text classifier: token ids and attention mask, int64 [n, t], to logits [n, classes].

    The encoder's configuration says which `Pooling` it has.
    """

    def __init__(self, encoder: BertModel, classes: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, classes)
        self.is_mean = getattr(encoder.config, "classifier_pooling", "mean") == "mean"

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits, float32 [n, classes], of token ids and their mask, int64 [n, t] each."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        read = _mean(states, attention_mask) if self.is_mean else states[:, 0]
        logits: Tensor = self.head(self.dropout(read))
        return logits


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    weights = mask.unsqueeze(-1).to(states.dtype)
    # A row of only padding would divide by zero, and its NaN would affect the whole batch.
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1)


def from_pretrained(folder: str, classes: int, pooling: Pooling = "cls") -> PooledClassifier:
    """A classifier for training: the Hugging Face BERT in ``folder`` as encoder, and a random last layer.

    The word embeddings are not trained, which costs a tenth of the time and forgets no rare words.
    Attention is computed as plain products: on a CPU, the backward pass of torch's fused attention
    takes a third of a step of short texts.
    """
    encoder = BertModel.from_pretrained(
        folder, add_pooling_layer=False, attn_implementation="eager", attention_probs_dropout_prob=0.0
    )
    encoder.embeddings.requires_grad_(False)
    encoder.config.classifier_pooling = pooling
    return PooledClassifier(encoder, classes)


def from_state(config: dict[str, Any], state: dict[str, Tensor]) -> PooledClassifier:
    """The classifier with the given weights, in float32 and evaluation mode.

    ``config`` is a BERT ``config.json``; ``state`` may be in half precision, and may be the state of
    a traced copy.
    """
    bert = BertConfig(**{**config, "attn_implementation": "sdpa"})
    model = PooledClassifier(BertModel(bert, add_pooling_layer=False), state["head.bias"].shape[0])
    model.load_state_dict(
        {name: value.to(torch.float32) for name, value in state.items() if value.is_floating_point()}, strict=False
    )
    return model.eval()
