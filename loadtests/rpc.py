"""The agent without the function: the project's own client, tokenized once, over ttrpc."""

from __future__ import annotations

import functools
import random
from pathlib import Path

from locust import constant, tag, task

from function.core.tokens import Encoder
from function.load import describe, extras_of
from loadtests import texts
from loadtests.answers import WrongAnswer
from loadtests.base import TIMEOUT_S, TextUser
from vaccel_common.modelfile import ModelFileError
from vaccel_rpc.addresses import Address, AddressError, parse
from vaccel_rpc.remote import ModelSource, RemoteModel
from vaccel_rpc.tensors import Tensor, to_values


class RawRpc(TextUser):
    """A connection, a session and the registered model for each user; a run after the other, as the function makes them."""

    weight = 2
    wait_time = constant(0.05)

    def on_start(self) -> None:
        """Connects and registers, which is timed as well."""
        source, self._requests, self._outputs = prepared(self.options.tokenizer, self.options.texts)
        self._model = RemoteModel(address(self.options.rpc_address), source)
        with self.timed("RPC", "connect and register"):
            self._model.connect(TIMEOUT_S)

    def on_stop(self) -> None:
        """Hangs up."""
        self._model.close()

    @tag("rpc")
    @task
    def run_one(self) -> None:
        """One text's tensors, the model's logits."""
        text, inputs = random.choice(self._requests)  # noqa: S311 no secret
        with self.timed("RPC", "run"):
            outputs = self._model.run(inputs, self._outputs, TIMEOUT_S)
            if len(outputs) != self._outputs or outputs[0].dtype != "float32":
                raise WrongAnswer("the outputs are not those of the model's signature")
            self.judge.logits(text, to_values(outputs[0]))


def address(text: str) -> Address:
    """The agent's address. Raises ``ValueError`` for one that cannot be used here.

    gRPC's threads are its own, and a call waits outside of gevent's loop: every other user would wait with it.
    """
    found = parse(text)
    if found.is_grpc:
        raise AddressError(f"{text!r}: RawRpc speaks ttrpc: unix:///PATH, tcp://HOST:PORT or vsock://CID:PORT")
    return found


@functools.cache
def prepared(tokenizer: str, file: str | None) -> tuple[ModelSource, list[tuple[str, list[Tensor]]], int]:
    """The model's name for the agent, each text with its tensors, and how many outputs there are. Raises `ModelFileError`."""
    model = tokenizer if tokenizer.endswith((".pt", ".pt2")) else ""
    source, _, path = describe(model, None if model else Path(tokenizer))
    extras = extras_of(path)
    if extras.tokenizer is None or extras.signature is None:
        raise ModelFileError(f"{tokenizer}: there is no tokenizer, or no signature, in it")
    chosen = texts.texts(file)
    encoded = Encoder(extras.tokenizer, extras.signature).encode(chosen)
    return source, [(text, item.windows[0]) for text, item in zip(chosen, encoded, strict=True)], len(extras.signature.outputs)
