"""What a user names as the place of the agents: addresses, some of which may be preferred.

``tcp://agent:8888;prefer,tcp://agent-all:8888``: a list, separated by commas. A name stands for
every agent that it has a record of. Agents that are preferred, such as those of the same node, run
everything while one of them can.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from difflib import get_close_matches

from vaccel_rpc.addresses import Address, AddressError, parse

_PREFER = "prefer"
#: Addresses in one list.
MAX_TARGETS = 64


@dataclass(frozen=True)
class Target:
    """An address of one or, where its host is a name, of several agents."""

    address: Address
    preferred: bool = False

    def __str__(self) -> str:
        return f"{self.address};{_PREFER}" if self.preferred else str(self.address)

    @property
    def is_name(self) -> bool:
        """Whether its host has to be looked up."""
        if self.address.path or self.address.scheme == "vsock":
            return False
        try:
            ipaddress.ip_address(self.address.host.partition("%")[0])
        except ValueError:
            return True
        return False


@dataclass(frozen=True)
class AgentEndpoint:
    """One agent's address. ``name``: the host name that led to ``address``, an IP address; else empty."""

    address: Address
    preferred: bool = False
    name: str = ""

    def __str__(self) -> str:
        return f"{self.address} ({self.name})" if self.name else str(self.address)

    def at(self, host: str) -> AgentEndpoint:
        """The same on the IP address ``host``, to which its name led."""
        return replace(self, address=replace(self.address, host=host), name=self.address.host)


def parse_targets(text: str) -> tuple[Target, ...]:
    """The targets in a comma-separated list. Raises `AddressError`."""
    targets = tuple(_target(part.strip()) for part in text.split(","))
    if len(targets) > MAX_TARGETS:
        raise AddressError(f"{len(targets)} addresses are given, {MAX_TARGETS} are allowed; name several agents by a DNS name")
    seen: set[Address] = set()
    for target in targets:
        if target.address in seen:
            raise AddressError(f"{target.address} is given twice")
        seen.add(target.address)
    return targets


def show(targets: tuple[Target, ...]) -> str:
    """The text that `parse_targets` reads as ``targets``."""
    return ",".join(map(str, targets))


def _target(text: str) -> Target:
    if not text:
        raise AddressError("an address of the list is empty; addresses are separated by single commas")
    address, *attributes = text.split(";")
    for attribute in attributes:
        if attribute.strip() != _PREFER:
            meant = " (did you mean prefer?)" if get_close_matches(attribute.strip().lower(), [_PREFER]) else ""
            raise AddressError(f"{text!r}: unknown attribute {attribute!r}{meant}; an address may end with ;{_PREFER}")
    return Target(parse(address), bool(attributes))
