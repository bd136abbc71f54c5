"""The training of the model that ships: its data, its metrics, its calibration, and a small run of it all."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from tests.support.paths import TWEETS
from tests.support.smallmodel import write_small_model
from training import calibration
from training.data import LABELS, part_of, read_tweets
from training.examples import Example, draw
from training.metrics import intervals, of_confusion, report
from training.network import POOLINGS, Pooling, from_state
from training.seeds import main as seeds_command
from training.train import main as train_command
from vaccel_common.modelfile import read_extras

#: One text of each class in three of four, so that a small network can learn them.
WORDS = ("grumble", "blast", "tea")


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


# ---- data


def test_votes_are_shares(tmp_path: Path) -> None:
    """Where they are not read, all are for the class."""
    row = {"class": 0, "tweet": "grumble", "hate_speech": 2, "offensive_language": 1, "neither": 0}
    (tweet,) = read_tweets(write_csv(tmp_path / "votes.csv", [row]), voted=True)
    assert tweet.votes == pytest.approx((2 / 3, 1 / 3, 0))
    (tweet,) = read_tweets(write_csv(tmp_path / "bare.csv", [{"class": 2, "tweet": "tea"}]))
    assert (tweet.label, tweet.votes) == (2, (0, 0, 1))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"class": 3}, "line 2: class is '3', not 0, 1 or 2"),
        ({"neither": -1}, "line 2: votes '2', '1', '-1' are not whole numbers above 0 in sum"),
        ({"neither": ""}, "line 2: votes '2', '1', '' are not"),
        ({"hate_speech": 0, "offensive_language": 0}, "line 2: votes '0', '0', '0' are not"),
        ({"neither": None}, "has no column 'neither'"),
        ({"tweet": None}, "has no column 'tweet'"),
    ],
)
def test_a_wrong_file_is_told_by_its_line(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    """A column (None: left out) or a value; the command says it without a traceback."""
    row = {"class": 0, "tweet": "grumble", "hate_speech": 2, "offensive_language": 1, "neither": 0} | change
    path = write_csv(tmp_path / "data.csv", [{name: value for name, value in row.items() if value is not None}])
    with pytest.raises(ValueError, match=f"data.csv.*{says}"):
        read_tweets(path, voted=True)
    done = run_training("--data", str(path), "--pretrained", str(small_encoder(tmp_path / "bert")))
    assert done.exit_code == 1
    assert says in done.output


def test_an_epoch_draws_of_what_everybody_agrees_on() -> None:
    """Half of those that all raters put into the commonest class; all that they disagree on, and all of the others."""
    kinds = [(1, (0.0, 1.0, 0.0))] * 8 + [(1, (1 / 3, 2 / 3, 0.0))] * 3 + [(0, (1.0, 0.0, 0.0))] * 4
    examples = [Example([i], label, votes) for i, (label, votes) in enumerate(kinds)]
    rng = random.Random(1)
    first, second = draw(examples, 0.5, rng), draw(examples, 0.5, rng)
    for drawn in (first, second):
        ids = {example.ids[0] for example in drawn}
        assert len(ids) == len(drawn) == 11
        assert set(range(8, 15)) < ids
    assert first != second
    assert sorted(draw(examples, 1, random.Random(1))) == examples


# ---- metrics


def test_figures_of_a_known_matrix() -> None:
    """Accuracy, F1, precision and recall as their definitions give them; a class without texts has 0."""
    scores = np.eye(3, dtype=np.float32)[[0, 1, 1, 1]]
    figures = report(scores, np.array([0, 0, 1, 1]), LABELS)
    assert figures["confusion"] == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert figures["accuracy"] == 0.75
    assert list(figures["precision"].values()) == [1, 0.6667, 0]
    assert list(figures["recall"].values()) == [0.5, 1, 0]
    assert list(figures["f1"].values()) == [0.6667, 0.8, 0]
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 3, abs=1e-4)
    # All scores are 1, and a quarter of the answers is wrong.
    assert figures["calibration_error"] == 0.25


def test_intervals_are_those_of_resampled_texts() -> None:
    """Matrices are drawn in place of texts; drawing the texts themselves gives the same interval."""
    confusion = np.array([[40, 40, 6], [50, 1540, 41], [2, 18, 295]])
    true, predicted = (part.repeat(confusion.ravel()) for part in np.divmod(np.arange(9), 3))
    rng = np.random.default_rng(7)
    f1 = []
    for _ in range(2000):
        rows = rng.integers(0, len(true), len(true))
        drawn = np.bincount(true[rows] * 3 + predicted[rows], minlength=9).reshape(3, 3)
        f1.append(of_confusion(drawn)["f1"][0])
    stated = intervals(confusion, LABELS)["f1"]["hate-speech"]
    assert stated == pytest.approx(np.quantile(f1, [0.025, 0.975]), abs=0.012)
    assert stated[0] < of_confusion(confusion)["f1"][0] < stated[1]


# ---- calibration


def rare_class(texts: int, seed: int) -> tuple[Tensor, Tensor]:
    """Log probabilities, float32 [n, 3], of texts whose first class is rare and never clear, and classes drawn from them."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(texts, 2, generator=generator) * torch.tensor([1.0, 3.0])
    logits = torch.stack([features[:, 0] - 3, torch.zeros(texts), features[:, 1] - 2], 1)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return logits.log_softmax(1), labels


def test_the_fit_undoes_a_temperature_and_a_bias() -> None:
    """Logits that are too steep and too low for a class become those that the classes were drawn from."""
    logs, labels = rare_class(20_000, 1)
    temperature, bias = calibration.fit_probabilities(2.5 * (logs + torch.tensor([-1.0, 0.5, 0.5])), labels)
    assert temperature == pytest.approx(2.5, rel=0.05)
    assert bias.tolist() == pytest.approx([1.0, -0.5, -0.5], abs=0.1)
    assert float(bias.mean()) == pytest.approx(0, abs=1e-6)


def test_the_shift_raises_macro_f1_on_other_texts() -> None:
    """The rare class, which is never the likeliest one, is found; the commonest class is not shifted."""
    logs, _ = rare_class(4000, 1)
    other, truth = rare_class(20_000, 2)
    shift = calibration.best_shift(logs.exp())
    before, after = (report((other + constant).softmax(1).numpy(), truth.numpy(), LABELS) for constant in (torch.zeros(3), shift))
    assert before["recall"]["hate-speech"] < 0.1
    assert after["macro_f1"] > before["macro_f1"] + 0.05
    assert shift[0].item() > 0
    assert shift[1].item() == 0


def test_what_is_folded_into_the_layer_is_what_was_fitted() -> None:
    """Its logits have the calibrated scores."""
    torch.manual_seed(0)
    head, features = nn.Linear(4, 3), torch.randn(50, 4)
    with torch.no_grad():
        logits = head(features)
        fitted = calibration.Calibration(1.7, torch.tensor([0.2, -0.1, -0.1]), torch.tensor([0.8, 0.0, 0.1]))
        fitted.fold(head)
        assert torch.allclose(head(features).softmax(1), fitted.scores(logits), atol=1e-6)


# ---- the command


def small_encoder(folder: Path) -> Path:
    """A Hugging Face folder of a BERT with two narrow layers, random weights and the shipped model's tokenizer."""
    config = BertConfig(
        vocab_size=30522, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=128,
    )  # fmt: skip
    torch.manual_seed(0)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(read_extras(TWEETS).tokenizer or b"")
    return folder


def run_training(*options: str) -> Result:
    """``python -m models.train`` in this process, on one thread."""
    threads = torch.get_num_threads()
    try:
        return CliRunner().invoke(train_command, ["--threads", "1", *options])
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 mild texts whose class is told by a word; one rater of three disagrees now and then."""
    rng = random.Random(1)
    rows = []
    for i in range(400):
        label = rng.choices(range(3), (1, 6, 3))[0]
        votes = [3 * (k == label) for k in range(3)]
        if rng.random() < 0.3:
            votes[label], votes[(label + 1) % 3] = 2, 1
        rows.append(
            {
                **dict(zip(("hate_speech", "offensive_language", "neither"), votes, strict=True)),
                "class": label,
                "tweet": f"{WORDS[label]} number {i}",
            }
        )
    return write_csv(tmp_path_factory.mktemp("data") / "mild.csv", rows)


def test_a_small_run(data: Path, tmp_path: Path) -> None:
    """It learns, states what it did, and is the same again with the same seed; the seed with the best tune part is chosen.

    So small an encoder of random weights learns from the mean of its tokens, and too slowly from the first one.
    """
    bert = str(small_encoder(tmp_path / "bert"))
    for name, seed in (("one", "1"), ("again", "1"), ("two", "2")):
        done = run_training(
            "--data", str(data), "--pretrained", bert, "--out", str(tmp_path / name), "--epochs", "3", "--rate", "3e-3",
            "--batch", "8", "--seed", seed, "--float32", "--pooling", "mean",
        )  # fmt: skip
        assert done.exit_code == 0, done.output
    metrics = {name: json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "again", "two")}
    texts = [row["tweet"] for row in csv.DictReader(data.open())]
    for run in metrics.values():
        assert run["validation"]["texts"] == sum(part_of(text) == "validation" for text in texts)
        assert run["validation"]["macro_f1"] > 0.9
        low, high = run["validation"]["intervals"]["macro_f1"]
        assert low <= run["validation"]["macro_f1"] <= high
        assert 1 <= run["epoch"] <= 3
        assert run["validation"]["calibration_error_unshifted"] < 0.3
        assert run["pooling"] == "mean"
    assert json.loads((tmp_path / "one" / "config.json").read_text())["classifier_pooling"] == "mean"
    timed = ("minutes",)
    assert {k: v for k, v in metrics["one"].items() if k not in timed} == {
        k: v for k, v in metrics["again"].items() if k not in timed
    }
    compared = CliRunner().invoke(seeds_command, [str(tmp_path / "one"), str(tmp_path / "two"), "-o", str(tmp_path / "m.json")])
    assert compared.exit_code == 0, compared.output
    written = json.loads((tmp_path / "m.json").read_text())
    assert written["tune"]["macro_f1"] == max(metrics[name]["tune"]["macro_f1"] for name in ("one", "two"))
    assert [run["seed"] for run in written["seeds"]] == [1, 2]
    assert compared.output.count("\n| 1 |") == compared.output.count("\n| 2 |") == 1


def test_a_folder_that_is_not_a_checkpoint_is_named(tmp_path: Path) -> None:
    """One line, no traceback."""
    (tmp_path / "metrics.json").write_text("{}")
    done = CliRunner().invoke(seeds_command, [str(tmp_path)])
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: {tmp_path} is not a checkpoint that models.train wrote")


# ---- network


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_file_says_what_its_last_layer_reads(tmp_path: Path, pooling: Pooling) -> None:
    """One from before it could say so reads the mean of all tokens."""
    path = write_small_model(tmp_path / "m.pt", pooling=pooling)
    extras = {"config.json": ""}
    program: Any = torch.jit.load(str(path), _extra_files=extras)
    config = json.loads(extras["config.json"])
    assert config["classifier_pooling"] == pooling
    if pooling == "mean":
        del config["classifier_pooling"]
    network = from_state(config, program.state_dict())
    ids, mask = torch.arange(1, 13).reshape(2, 6), torch.tensor([[1] * 6, [1] * 3 + [0] * 3])
    torch.testing.assert_close(network(ids, mask), program.float()(ids, mask), atol=1e-4, rtol=1e-4)
