"""A client of the agent alone: one connection, one session, the models that it registered."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from vaccel_rpc.addresses import parse
from vaccel_rpc.channels import connect
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.tensors import Tensor

_CONNECT_S, _RUN_S = 5.0, 30.0


class ModelClient:
    """Registers ``names`` of the agent's models when it is made; ``run`` counts them in
    that order.
    """

    def __init__(self, address: str, *names: str) -> None:
        self._client = VaccelClient(connect(parse(address), _CONNECT_S))
        self._session = self._client.create_session()
        self._models = [self._client.register_path(self._session, name) for name in names]

    def run(self, inputs: Sequence[Tensor], model: int = 0, timeout: float = _RUN_S) -> Tensor:
        """The only output of a model. Raises `vaccel_rpc.errors.RpcError`."""
        return self._client.run(self._session, self._models[model], list(inputs), 1, timeout=timeout)[0]

    def close(self) -> None:
        """Closes the connection, and the session with it."""
        self._client.close()

    def __enter__(self) -> ModelClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
