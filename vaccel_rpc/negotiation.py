"""Which dialect an agent speaks: decided once for each connection, by its first call."""

from __future__ import annotations

from typing import Literal

from vaccel_rpc.channels import Channel
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.dialects import Version
from vaccel_rpc.errors import InvalidArgument, RpcError, Unimplemented

#: A dialect, or ``auto``: the newest one that the agent speaks.
DialectChoice = Literal["auto", "0.7", "0.8"]
CHOICES: tuple[DialectChoice, ...] = ("auto", "0.7", "0.8")

_NEWEST_FIRST: tuple[Version, ...] = ("0.8", "0.7")


def open_session(channel: Channel, choice: DialectChoice = "auto", timeout: float | None = None) -> tuple[VaccelClient, int]:
    """A client that speaks the agent's dialect, and the id of its first session.

    ``auto`` costs no more than a fixed dialect, unless the agent does not speak the newest one.
    ``timeout``: seconds for each dialect's call. Raises `Unimplemented`, which names the dialects
    that were tried, where the agent speaks none of them, and what CreateSession raises.
    """
    versions = _NEWEST_FIRST if choice == "auto" else (choice,)
    tried = []
    for version in versions:
        client = VaccelClient(channel, version)
        try:
            return client, client.create_session(timeout=timeout)
        except (Unimplemented, InvalidArgument) as error:
            if not is_unknown_method(error):
                raise
            tried.append(f"{version} ({client.service})")
    raise Unimplemented(f"the agent speaks no dialect of the vAccel RPC that was tried: {', '.join(tried)}")


def is_unknown_method(error: RpcError) -> bool:
    """Whether the agent does not have the service or the method of a call.

    Upstream's agents answer INVALID_ARGUMENT then: ``/vaccel.AgentService/GetTimers does not
    exist``.
    """
    return isinstance(error, Unimplemented) or (isinstance(error, InvalidArgument) and error.message.endswith("does not exist"))
