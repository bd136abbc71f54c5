"""The model servers, the forms in which they run the model, the settings that ``--only tune``
tries, and those with which each was fastest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

Form = Literal["torch", "fp32", "static", "dynamic"]
#: What a form computes in: ``static`` and ``dynamic`` are int8 with ranges of activations that were
#: measured before, or are measured in each batch, whose other texts then change an answer.
Numbers = Literal["exact", "static", "dynamic"]
#: Each form with its name in tables and what it computes in; all but the first are run by ONNX Runtime.
FORMS: Mapping[Form, tuple[str, Numbers]] = {
    "torch": ("torch", "exact"),
    "fp32": ("ONNX Runtime", "exact"),
    "static": ("ONNX Runtime int8 static", "static"),
    "dynamic": ("ONNX Runtime int8 dynamic", "dynamic"),
}
#: Server -> its version and the path that it answers.
SERVERS: Mapping[str, tuple[str, str]] = {"mosec": ("0.9.8", "/inference"), "litserve": ("0.2.19", "/predict")}


@dataclass(frozen=True)
class PeerSettings:
    """How a server runs: ``workers``, processes; ``threads`` of each for the model; ``batch``, rows at most;
    ``wait_ms`` that a batch waits for rows; ``spin``, whether ONNX Runtime's idle threads spin.
    """

    workers: int
    threads: int
    batch: int = 1
    wait_ms: int = 0
    spin: int = 0

    def env(self) -> dict[str, str]:
        """The variables of the server's workers."""
        return {f"PEER_{name.upper()}": str(value) for name, value in asdict(self).items()}

    def __str__(self) -> str:
        """The settings in words, for tables."""
        workers = (
            f"{self.workers} worker{'s' if self.workers > 1 else ''} of {self.threads} thread{'s' if self.threads > 1 else ''}"
        )
        batches = f"batches of {self.batch} or {self.wait_ms} ms" if self.batch > 1 else "no batches"
        return f"{workers}{', spinning' if self.spin else ''}, {batches}"


#: One process for each of two cores, and one for both.
_EACH, _BOTH, _BOTH_SPIN = PeerSettings(2, 1), PeerSettings(1, 2), PeerSettings(1, 2, spin=1)
_BATCHES = ((1, 0), (4, 1), (8, 2), (16, 5))


def tried(form: Form) -> list[PeerSettings]:
    """The settings that ``--only tune`` tries with a form."""
    processes = (_EACH, _BOTH) if form == "torch" else (_EACH, _BOTH, _BOTH_SPIN)
    return [PeerSettings(each.workers, each.threads, *batch, each.spin) for each in processes for batch in _BATCHES]


#: The fastest settings of those tried, by server and form: with many clients, and with one.
FASTEST: Mapping[tuple[str, Form], tuple[PeerSettings, PeerSettings]] = {
    ("mosec", "torch"): (_EACH, _EACH),
    ("mosec", "fp32"): (_EACH, _BOTH_SPIN),
    ("mosec", "static"): (_EACH, _BOTH_SPIN),
    ("mosec", "dynamic"): (_EACH, _BOTH_SPIN),
    ("litserve", "torch"): (_EACH, _EACH),
    ("litserve", "fp32"): (_EACH, _BOTH_SPIN),
    ("litserve", "static"): (_EACH, _BOTH_SPIN),
    ("litserve", "dynamic"): (_EACH, _BOTH_SPIN),
}
