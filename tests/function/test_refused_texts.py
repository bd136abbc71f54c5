"""A model that refuses a text, or gives no finite numbers for it: real agent, real function, real command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.classifier import run
from tests.support.functions import function_of, post
from tests.support.paths import TWEETS
from tests.support.servers import ServerProcess
from vaccel_common.modelfile import read_extras

TEXTS = ["tea", "two words", "three more words", "cake"]


class Picky(nn.Module):
    """ids, mask int64 [n, t] -> float16 [n, 3]: refuses a text of two words, gives infinity for one of three."""

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        words = mask.sum(1, keepdim=True) - 2
        if bool((words == 2).any()):
            raise ValueError("two words are refused by this model")
        return torch.cat(
            [words * 0.5, torch.where(words == 3, float("inf"), 1.5) + 0 * ids.sum(1, keepdim=True), -words], 1
        ).half()


@dataclass
class Served:
    """The model, an agent's address and a function."""

    model: Path
    address: str
    function: ServerProcess


@pytest.fixture(scope="module", params=["unix", "grpc"])
def served(agent: ServerProcess, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Served]:
    """A function whose agent has got the model from it, with the tokenizer and labels of the model that ships."""
    folder = tmp_path_factory.mktemp("picky")
    names = dict.fromkeys(("tokenizer.json", "labels.json", "signature.json"), "")
    torch.jit.load(str(TWEETS), _extra_files=names)
    extras = {name: value.decode() if isinstance(value, bytes) else value for name, value in names.items()}
    signature = json.loads(extras["signature.json"])
    signature["outputs"][0]["dtype"] = "float16"
    extras["signature.json"] = json.dumps({**signature, "name": "picky"})
    torch.jit.save(torch.jit.script(Picky()), str(folder / "picky.pt"), _extra_files=extras)
    assert read_extras(folder / "picky.pt").signature is not None
    address = agent.addresses[request.param]
    with function_of(folder, address, MODEL=str(folder / "picky.pt")) as function:
        yield Served(folder / "picky.pt", address, function)


def test_each_text_gets_its_own(served: Served) -> None:
    """In one batch and in lines; half precision is served; the model's reason is passed on, without its stack."""
    predictions = post(served.function, {"texts": TEXTS, "errors": "item", "logits": True}).json()["predictions"]
    assert [list(prediction.get("logits", {}).values()) for prediction in predictions] == [
        [0.5, 1.5, -1.0],
        [],
        [],
        [0.5, 1.5, -1.0],
    ]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    streamed = post(served.function, lines, "application/x-ndjson").content.splitlines()
    for answers in (predictions, [json.loads(line) for line in streamed]):
        errors = [answer.get("error", {}) for answer in answers]
        assert [error.get("status") for error in errors] == [None, 502, 502, None]
        assert errors[1]["detail"].startswith("the agent gave no result: INTERNAL: torch: ")
        assert "two words are refused by this model" in errors[1]["detail"]
        assert errors[2]["detail"] == "the agent gave no result: INTERNAL: the model's output is not finite"


def test_the_inference_protocol_has_them_too(served: Served) -> None:
    """A column of errors with ``errors`` of ``item``, else the request's status; no answer has such a number."""
    body = {"inputs": [{"name": "text", "shape": [4], "datatype": "BYTES", "data": TEXTS}]}
    path = "/v2/models/picky/infer"
    answer = post(served.function, {**body, "parameters": {"errors": "item"}}, path=path)
    columns = {output["name"]: output["data"] for output in answer.json()["outputs"]}
    assert [bool(error) for error in columns["error"]] == [False, True, True, False]
    assert "two words are refused by this model" in columns["error"][1]
    assert "the model's output is not finite" in columns["error"][2]
    assert [bool(label) for label in columns["label"]] == [True, False, False, True]
    assert post(served.function, body, path=path).status_code == 502


def test_the_request_fails_with_the_first_one(served: Served) -> None:
    """Its detail has the text's place."""
    answer = post(served.function, {"texts": TEXTS})
    assert answer.status_code == 502
    assert answer.json()["detail"].endswith("two words are refused by this model (texts[1])")
    answer = post(served.function, {"texts": TEXTS[2:]})
    assert answer.json()["detail"].endswith("the model's output is not finite (texts[0])")


def test_the_command_line_names_the_line(served: Served, tmp_path: Path) -> None:
    """What stands before it is written; with --errors item all that can be."""
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TEXTS))
    options = ("-m", str(served.model), "-f", str(texts), "--format", "jsonl", "--batch", "4")
    done = run(served.address, *options)
    assert (done.returncode, done.stdout.count("\n"), done.stderr.count("\n")) == (1, 1, 1)
    assert done.stderr.startswith("vaccel-classifier: line 2: INTERNAL: torch: ")
    done = run(served.address, *options, "--errors", "item")
    assert [json.loads(line).get("error", {}).get("status") for line in done.stdout.splitlines()] == [None, 502, 502, None]
    assert (done.returncode, "error 2" in done.stderr) == (0, True)
