"""The RPC's client, and inputs of the model that ships."""

from __future__ import annotations

from tests.support.servers import ServerProcess
from vaccel_rpc.addresses import parse
from vaccel_rpc.channels import connect
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.dialects import Version
from vaccel_rpc.tensors import Tensor, from_values


def client(agent: ServerProcess, scheme: str = "unix", version: Version = "0.8") -> VaccelClient:
    """A client of the agent's address of that scheme; it connects on its first call."""
    return VaccelClient(connect(parse(agent.addresses[scheme]), 5), version)


def ids(*values: int) -> list[Tensor]:
    """The inputs of one text for the model that ships: token ids, and a mask without padding."""
    dims = [1, len(values)]
    return [from_values("int64", dims, values), from_values("int64", dims, [1] * len(values))]
