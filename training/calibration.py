"""What is fitted after training, on texts that it has not seen, and folded into the last layer.

First a temperature and a bias for each class, which make the scores probabilities of the labels
(Guo et al., 2017). Then one constant for each class, which moves decisions to the highest macro F1:
for calibrated probabilities the best threshold of a rare class is far below that of the label with
the best score (Lipton et al., 2014: half of the F1 that can be reached). A constant of a logit is
a class that many times more frequent (Menon et al., 2021), so what is left is the probability in a
stream of texts with that mixture of classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

#: Shifts are tried in these steps, from the first to the last (exclusive).
_STEP, _FIRST, _LAST = 0.05, -0.5, 2.5


@dataclass(frozen=True)
class Calibration:
    """``logits / temperature + bias + shift``; bias and shift are float32 [classes].

    Without ``shift`` the scores are probabilities as in the texts of the fit.
    """

    temperature: float
    bias: Tensor
    shift: Tensor

    def probabilities(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities, float32 [n, classes], before the shift."""
        return (logits / self.temperature + self.bias).softmax(1)

    def scores(self, logits: Tensor) -> Tensor:
        """What the model gives after `fold`, float32 [n, classes]."""
        return (logits / self.temperature + self.bias + self.shift).softmax(1)

    def fold(self, head: nn.Linear) -> None:
        """Makes ``head`` give the calibrated and shifted logits."""
        with torch.no_grad():
            head.weight /= self.temperature
            head.bias.copy_(head.bias / self.temperature + self.bias + self.shift)

    def json(self) -> dict[str, Any]:
        """The fitted values, rounded."""
        values = {"bias": self.bias, "shift": self.shift}
        return {"temperature": round(self.temperature, 3)} | {
            name: [round(value, 3) for value in tensor.tolist()] for name, tensor in values.items()
        }


def fit(logits: Tensor, labels: Tensor) -> Calibration:
    """The calibration for ``logits`` float32 [n, classes] of texts with the classes ``labels`` int64 [n]."""
    temperature, bias = fit_probabilities(logits, labels)
    return Calibration(temperature, bias, best_shift((logits / temperature + bias).softmax(1)))


def fit_probabilities(logits: Tensor, labels: Tensor) -> tuple[float, Tensor]:
    """The temperature and the bias [classes] with the lowest cross entropy."""
    log_temperature, bias = torch.zeros((), requires_grad=True), torch.zeros(logits.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        entropy = nn.functional.cross_entropy(logits / log_temperature.exp() + bias, labels)
        entropy.backward()
        return entropy

    optimizer.step(loss)
    return log_temperature.exp().item(), (bias - bias.mean()).detach()


def best_shift(probabilities: Tensor) -> Tensor:
    """The constants [classes] for the logits with the highest `expected_macro_f1`; that of the commonest class is 0."""
    common = int(probabilities.sum(0).argmax())
    grid = [_FIRST + _STEP * i for i in range(round((_LAST - _FIRST) / _STEP))]
    logs = probabilities.log()
    candidates = (
        torch.tensor([*rest[:common], 0.0, *rest[common:]]) for rest in product(grid, repeat=probabilities.shape[1] - 1)
    )
    return max(candidates, key=lambda shift: expected_macro_f1(probabilities, (logs + shift).argmax(1)))


def expected_macro_f1(probabilities: Tensor, predicted: Tensor) -> float:
    """Macro F1 of the classes ``predicted`` [n], where each text counts for a class as its probability says.

    Few texts have a rare label, and many have some probability of it, so that this varies less from
    sample to sample than macro F1 by labels.
    """
    chosen = nn.functional.one_hot(predicted, probabilities.shape[1])
    right = (probabilities * chosen).sum(0)
    return float((2 * right / (probabilities.sum(0) + chosen.sum(0))).mean())
