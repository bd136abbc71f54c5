"""A model of one's own in the images, as docs/images.md says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import requests
import torch

from export.tokenizer import write_tokenizer_file
from scripts.builders import Buildah
from tests.containers.bench import AGENT, FUNCTION, Bench
from tests.containers.waiting import answers
from tests.support.optional import needs_program
from tests.support.paths import ROOT, TWEETS
from vaccel_rpc import __version__

pytestmark = pytest.mark.containers

BLOCKS = re.findall(r"```dockerfile\n(.*?)```", (ROOT / "docs/images.md").read_text(), re.DOTALL)
LABELS = ["ode", "sonnet", "limerick"]


@pytest.fixture
def poems(tmp_path: Path) -> Path:
    """A folder with poems.pt, a model of other labels, and its tokenizer file."""
    extras = {"tokenizer.json": "", "labels.json": "", "signature.json": ""}
    module = torch.jit.load(str(TWEETS), _extra_files=extras)
    torch.jit.save(module, str(tmp_path / "poems.pt"), _extra_files={**extras, "labels.json": json.dumps(LABELS)})
    write_tokenizer_file(tmp_path / "poems.pt", tmp_path / "poems.tokenizer")
    return tmp_path


@needs_program("buildah", "buildah")
def test_both_images_with_another_model(bench: Bench, poems: Path) -> None:
    """The documented lines build; the agent warms both models, the function answers with the new one's labels."""
    images = []
    for block in BLOCKS:
        (poems / "Dockerfile").write_text(
            block.replace(f"dev.local/vaccel-agent:{__version__}", AGENT).replace(
                f"dev.local/vaccel-function:{__version__}", FUNCTION
            )
        )
        images.append(f"localhost/{bench.name()}")
        Buildah().build(poems, poems / "Dockerfile", images[-1], {})
        bench.forget_image(images[-1])
    network = bench.network()
    options = (f"--network={network}", "--network-alias=poet", "--tmpfs=/tmp", "--entrypoint=vaccel-rpc-agent")
    agent = bench.run(images[0], "-a", "tcp://0.0.0.0:8888", options=options)
    agent.wait_for("agent ready")
    assert sorted(re.findall(r"Preloaded model (\w+)", agent.log)) == ["poems", "tweets"]
    function = bench.run(images[1], options=(f"--network={network}",), env={"VACCEL_RPC_ADDRESS": "tcp://poet:8888"})
    url = f"http://{function.ip}:8080"
    answers(f"{url}/health/readiness")
    answer = requests.post(f"{url}/classify", json={"text": "good morning"}, timeout=20).json()
    assert answer["model"]["name"] == "poems"
    assert answer["label"] in LABELS
