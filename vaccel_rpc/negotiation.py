"""Which dialect an agent speaks: decided once for each connection, by its first calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from vaccel_rpc.channels import Channel
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.dialects import Version
from vaccel_rpc.errors import DeadlineExceeded, InvalidArgument, RpcError, Unavailable, Unimplemented

#: A dialect, or ``auto``: the newest one that the agent speaks.
DialectChoice = Literal["auto", "0.7", "0.8"]
CHOICES: tuple[DialectChoice, ...] = ("auto", "0.7", "0.8")

_NEWEST_FIRST: tuple[Version, ...] = ("0.8", "0.7")
#: An id that no resource has.
_NO_MODEL = 0


def open_session(
    channel: Channel, choice: DialectChoice = "auto", timeout: float | None = None, metadata: Mapping[str, str] | None = None
) -> tuple[VaccelClient, int]:
    """A client that speaks the agent's dialect, and the id of its first session.

    ``auto`` costs no more than a fixed dialect, unless the agent does not speak the newest one.
    Where it speaks an older one, the client's dialect may also be one of upstream's builds between
    the releases. ``timeout``: seconds for each call. ``metadata`` is sent with CreateSession. Raises
    `Unimplemented`, which names the dialects that were tried, where the agent speaks none of them,
    and what CreateSession raises.
    """
    versions = _NEWEST_FIRST if choice == "auto" else (choice,)
    tried = []
    for version in versions:
        client = VaccelClient(channel, version)
        try:
            session = client.create_session(timeout=timeout, metadata=metadata)
            between = choice == "auto" and version == "0.7" and _is_between(channel, session, timeout)
            return VaccelClient(channel, "2025-07") if between else client, session
        except (Unimplemented, InvalidArgument) as error:
            if not is_unknown_method(error):
                raise
            tried.append(f"{version} ({client.service})")
    raise Unimplemented(f"the agent speaks no dialect of the vAccel RPC that was tried: {', '.join(tried)}")


def _is_between(channel: Channel, session: int, timeout: float | None) -> bool:
    """Whether the agent has 0.7's service with 0.8's methods for models: a build of 2025-07."""
    try:
        VaccelClient(channel, "2025-07").load(session, _NO_MODEL, timeout)
    except (Unavailable, DeadlineExceeded):
        raise
    except RpcError as error:
        return not is_unknown_method(error)
    return True


def is_unknown_method(error: RpcError) -> bool:
    """Whether the agent does not have the service or the method of a call.

    Upstream's agents answer INVALID_ARGUMENT then: ``/vaccel.AgentService/GetTimers does not
    exist``.
    """
    return isinstance(error, Unimplemented) or (isinstance(error, InvalidArgument) and error.message.endswith("does not exist"))
