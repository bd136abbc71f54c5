"""What the bench's other model servers run: the shipped model, as torch and ONNX Runtime have it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.peers import model, network
from benchmarks.peers.environments import ALONE, PEERS
from benchmarks.peers.files import FormAbout, prepare
from benchmarks.peers.settings import PeerSettings
from benchmarks.texts import generated

TEXTS = generated(40, 7)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """torch's threads, which peers set for their process, are as before after each test."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_network_written_out_is_the_shipped_model() -> None:
    """Its logits are those of the model's file, of padded rows too."""
    ids, mask = model.encoded(model.tokenizer(), TEXTS[:6])
    assert {sum(row) for row in mask} != {len(mask[0])}, "rows are padded"
    with torch.inference_mode():
        logits = network.load()(torch.tensor(ids), torch.tensor(mask)).tolist()
    for row, expected in zip(logits, model.by_torch(1)(ids, mask), strict=True):
        assert row == pytest.approx(expected, abs=1e-5)


def test_a_peer_answers_as_the_function_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the best label, its score and all scores; a text in a batch as alone."""
    for name, value in {**PeerSettings(2, 1).env(), "PEER_FORM": "torch"}.items():
        monkeypatch.setenv(name, value)
    classifier = model.PeerClassifier()
    alone, together = classifier.classify(TEXTS[:1])[0], classifier.classify(TEXTS[:4])[0]
    assert sum(alone["scores"].values()) == pytest.approx(1)
    assert alone["score"] == max(alone["scores"].values()) == alone["scores"][alone["label"]]
    assert together["scores"] == pytest.approx(alone["scores"], abs=1e-5)


def test_the_onnx_files_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """float32 has torch's scores; of the int8 forms only the static one answers a text the same in a batch as alone."""
    from benchmarks.peers import making

    monkeypatch.setattr(making, "FOLDER", tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"calibration": TEXTS[:8], "trial": TEXTS[8:]})))
    making.main()
    forms = {form: FormAbout(**figures) for form, figures in json.loads(capsys.readouterr().out).items()}
    assert forms["fp32"].away < 1e-5
    assert forms["fp32"].agreement == 1
    assert max(forms["fp32"].alone, forms["static"].alone) < 1e-5 < forms["dynamic"].alone
    assert min(form.agreement for form in forms.values()) >= 0.9
    sizes = {form: (tmp_path / f"{form}.onnx").stat().st_size for form in forms}
    assert max(sizes["static"], sizes["dynamic"]) < sizes["fp32"]


def test_too_few_texts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """int8 needs texts beside the measured ones; what torch alone runs needs none."""
    monkeypatch.setattr("benchmarks.peers.files.install", lambda _: None)
    with pytest.raises(ValueError, match="600 texts beside the measured ones are needed for int8; there are 40"):
        prepare(PEERS, TEXTS, print)
    assert prepare([peer for peer in PEERS if peer.form == "torch"], [], print) == {}


def test_settings_are_told() -> None:
    """In words, and to the workers as variables; one client's settings are another target's."""
    assert str(PeerSettings(2, 1)) == "2 workers of 1 thread, no batches"
    assert str(PeerSettings(1, 2, 8, 2, spin=1)) == "1 worker of 2 threads, spinning, batches of 8 or 2 ms"
    assert PeerSettings(1, 2, 8, 2).env() == {
        "PEER_WORKERS": "1", "PEER_THREADS": "2", "PEER_BATCH": "8", "PEER_WAIT_MS": "2", "PEER_SPIN": "0",
    }  # fmt: skip
    assert not set(ALONE) & set(PEERS)
