"""Users of the agent without the function, by the project's own client over ttrpc.

Texts are tokenized once.
"""

from __future__ import annotations

import functools
import random
from pathlib import Path

from locust import constant, tag, task

from function.core.texts import Text
from function.core.tokens import Encoder
from function.load import describe, extras_of
from loadtests import texts
from loadtests.answers import WrongAnswer
from loadtests.base import TIMEOUT_S, TextUser
from vaccel_common.modelfile import ModelFileError, program_kind
from vaccel_rpc.addresses import AddressError
from vaccel_rpc.pool.targets import Target, parse_targets
from vaccel_rpc.registering import ModelSource
from vaccel_rpc.remote import RemoteModel
from vaccel_rpc.tensors import Tensor, to_values


class RawRpc(TextUser):
    """A user with a connection, a session and the registered model, which runs it again and again,
    as the function does.
    """

    weight = 2
    wait_time = constant(0.05)

    def on_start(self) -> None:
        """Connects and registers the model, which is timed too."""
        source, self._requests, self._outputs = prepared(self.options.tokenizer, texts.chosen(self.options))
        self._model = RemoteModel(agents(self.options.rpc_address), source)
        with self.timed("RPC", "connect and register"):
            self._model.connect(TIMEOUT_S)

    def on_stop(self) -> None:
        """Closes the connection."""
        self._model.close()

    @tag("rpc")
    @task
    def run_one(self) -> None:
        """Runs the model on one text's tensors and checks the logits."""
        text, inputs = random.choice(self._requests)  # noqa: S311 not a secret
        with self.timed("RPC", "run"):
            outputs = self._model.run(inputs, self._outputs, TIMEOUT_S)
            if len(outputs) != self._outputs or outputs[0].dtype != "float32":
                raise WrongAnswer("the outputs are not those of the model's signature")
            self.checker.logits(text, to_values(outputs[0]))


def agents(text: str) -> tuple[Target, ...]:
    """The agents' addresses. Raises ``ValueError`` for a gRPC one.

    A gRPC call waits in a thread outside of gevent's loop, so that every other user would wait with
    it.
    """
    parsed = parse_targets(text)
    if any(target.address.is_grpc for target in parsed):
        raise AddressError(f"{text!r}: RawRpc speaks ttrpc: unix:///PATH, tcp://HOST:PORT or vsock://CID:PORT")
    return parsed


@functools.cache
def prepared(tokenizer: str, every: tuple[Text, ...]) -> tuple[ModelSource, list[tuple[Text, list[Tensor]]], int]:
    """The model for the agent, each text with its tensors, and the number of outputs.

    Raises `ModelFileError`.
    """
    model = tokenizer if program_kind(tokenizer) else ""
    described = describe(model, None if model else Path(tokenizer))
    extras = extras_of(described.file)
    if extras.tokenizer is None or extras.signature is None:
        raise ModelFileError(f"{tokenizer}: the file has no tokenizer or no signature")
    encoded = Encoder(extras.tokenizer, extras.signature).encode(every)
    return (
        described.source,
        [(text, item.windows[0]) for text, item in zip(every, encoded, strict=True)],
        len(extras.signature.outputs),
    )
