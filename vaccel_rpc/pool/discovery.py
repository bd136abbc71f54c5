"""Which agents the targets lead to now: names are looked up again and again.

All records of a name count, IPv4 and IPv6, such as those of a headless Service. A look-up that fails
keeps the last answer: an agent leaves the pool only when a name server says so.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from vaccel_rpc.errors import RpcError, Unavailable
from vaccel_rpc.pool.targets import AgentEndpoint, Target

_log = logging.getLogger("vaccel_rpc")

#: Seconds between look-ups, and the least between two where somebody is in a hurry.
_PERIOD_S, _SOON_S = 5.0, 0.1
_LOCALHOST = frozenset(("127.0.0.1", "::1"))
#: Agents that one name stands for at most.
MAX_RECORDS = 64

#: The IP addresses of a host. Raises ``OSError``.
LookUp = Callable[[str], Sequence[str]]


def look_up(host: str) -> list[str]:
    """The IP addresses of a host name, as getaddrinfo orders them; of a host that is this one, the first. Raises ``OSError``."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    hosts = list(dict.fromkeys(str(place[0]) for *_, place in found))
    # localhost is one host with two addresses, and an agent there listens on the first.
    return hosts[:1] if _LOCALHOST.issuperset(hosts) else hosts


def endpoints(targets: Sequence[Target], answers: Mapping[Target, Sequence[str]]) -> tuple[AgentEndpoint, ...]:
    """The endpoint of each target that is no name, and one for each answer of those that are; each address once.

    An address that several targets lead to is preferred where one of them is.
    """
    found: dict[str, AgentEndpoint] = {}
    for target in sorted(targets, key=lambda target: not target.preferred):
        endpoint = AgentEndpoint(target.address, target.preferred)
        for each in [endpoint.at(host) for host in answers.get(target, ())[:MAX_RECORDS]] if target.is_name else [endpoint]:
            found.setdefault(str(each.address), each)
    return tuple(found.values())


class Discovery:
    """Looks names up in a thread of its own; without a name it has no thread.

    ``found`` is called, from that thread, with the present endpoints after each round of look-ups.
    """

    def __init__(
        self, targets: Sequence[Target], found: Callable[[Sequence[AgentEndpoint]], None], look_up: LookUp = look_up
    ) -> None:
        self._targets, self._found, self._look_up = targets, found, look_up
        self._names = [target for target in targets if target.is_name]
        self._answers: dict[Target, Sequence[str]] = {}
        #: Why the last look-up of a name failed.
        self.problems: dict[Target, RpcError] = {}
        #: Look-ups of all names that have ended.
        self.rounds = 0
        self._soon = threading.Event()
        self._ended = False
        self._thread: threading.Thread | None = None

    @property
    def unknown(self) -> list[tuple[Target, RpcError | None]]:
        """The names that led to no agent yet, and why."""
        return [(target, self.problems.get(target)) for target in self._names if target not in self._answers]

    def start(self) -> None:
        """Begins to look names up, unless it has begun."""
        if self._names and self._thread is None and not self._ended:
            self._thread = threading.Thread(target=self._run, name="agent names", daemon=True)
            self._thread.start()

    def hurry(self) -> None:
        """Looks names up soon: an agent was lost, or somebody waits for one."""
        self._soon.set()

    def close(self) -> None:
        """Ends the thread."""
        self._ended = True
        self._soon.set()

    def _run(self) -> None:
        while not self._ended:
            self._soon.clear()
            for target in self._names:
                self._ask(target)
            self.rounds += 1
            self._found(endpoints(self._targets, self._answers))
            if not self._ended:
                time.sleep(_SOON_S)
            self._soon.wait(_PERIOD_S)

    def _ask(self, target: Target) -> None:
        try:
            hosts = self._look_up(target.address.host)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._note(target, reason)
            return
        if self.problems.pop(target, None):
            _log.info("%s: the name is found again", target.address)
        self._answers[target] = hosts

    def _note(self, target: Target, reason: str) -> None:
        before = self.problems.get(target)
        self.problems[target] = Unavailable(reason, at=target.address)
        # Once for each reason: it is looked up every few seconds.
        if before is None or before.detail != reason:
            known = len(self._answers.get(target, ()))
            effect = f"the {known} agents that it had stay" if known else "no agent"
            _log.warning("%s: %s: %s; looking it up again", target.address, effect, reason)
