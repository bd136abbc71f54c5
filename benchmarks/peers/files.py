"""The ONNX files of the other servers, made once in mosec's environment by `benchmarks.peers.making`."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.peers.environments import PeerServer, install, packages, python
from benchmarks.peers.model import FOLDER, MODEL
from loadkit.processes import ROOT

_MAKER = "mosec"
#: Texts that ranges are measured on; the others are compared.
_CALIBRATION = 300
_ABOUT = FOLDER / "about.json"


@dataclass(frozen=True)
class FormAbout:
    """How a form's answers to ``texts`` differ from torch's in float32.

    ``agreement``: the share with the same label; ``away``: the largest difference of a score;
    ``alone``: the largest difference of a score between a text alone and in a padded batch of other
    texts.
    """

    texts: int
    agreement: float
    away: float
    alone: float

    def __str__(self) -> str:
        """The figures as a sentence's end."""
        return (
            f"the label of float32 on {self.agreement:.1%} of {self.texts} texts, scores at most {self.away:.2g} away; "
            f"a text alone and in a batch at most {self.alone:.2g} apart"
        )


def prepare(peers: Iterable[PeerServer], others: list[str], log: Callable[[str], None]) -> Mapping[str, FormAbout]:
    """Installs the servers and makes the ONNX files that they need, unless there are some of the same
    model, texts and packages; what each form is like.

    Raises ``ValueError`` where ``others`` are too few to calibrate and compare on.
    """
    peers = list(peers)
    for server in dict.fromkeys(peer.server for peer in peers):
        install(server)
    return _made(others, log) if any(peer.form != "torch" for peer in peers) else {}


def _made(others: list[str], log: Callable[[str], None]) -> Mapping[str, FormAbout]:
    if len(others) < 2 * _CALIBRATION:
        raise ValueError(f"{2 * _CALIBRATION} texts beside the measured ones are needed for int8; there are {len(others)}")
    install(_MAKER)
    key = _key(others)
    if not _ABOUT.exists() or json.loads(_ABOUT.read_text())["key"] != key:
        log("making the ONNX files of the other servers")
        FOLDER.mkdir(parents=True, exist_ok=True)
        texts = json.dumps({"calibration": others[:_CALIBRATION], "trial": others[_CALIBRATION:]})
        command = [python(_MAKER), "-m", "benchmarks.peers.making"]
        process = subprocess.run(command, cwd=ROOT, input=texts, capture_output=True, text=True, check=False)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command[1:])} failed:\n{process.stderr[-2000:]}")
        _ABOUT.write_text(json.dumps({"key": key, "forms": json.loads(process.stdout)}, indent=1) + "\n")
    forms: dict[str, dict[str, Any]] = json.loads(_ABOUT.read_text())["forms"]
    return {form: FormAbout(**figures) for form, figures in forms.items()}


def _key(others: list[str]) -> str:
    """What the files depend on, as a digest."""
    code = [(ROOT / f"benchmarks/peers/{name}.py").read_bytes() for name in ("making", "network")]
    parts = [MODEL.read_bytes(), *code, json.dumps([*packages(_MAKER), *others]).encode()]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
