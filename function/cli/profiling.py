"""The profile of the work: how long the client's own regions and the agent's took, in vAccel's form, such as
``[prof] [vaccel-rpc-agent] forward: total_time: 104950400 nsec nr_entries: 5``."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from vaccel_rpc.dialects import Profile
from vaccel_rpc.errors import RpcError
from vaccel_rpc.remote import RemoteModel

_log = logging.getLogger(__name__)
#: Seconds for the agent to answer.
_TIMEOUT_S = 10.0
#: The client's name before its regions, as vAccel's components have theirs.
_COMPONENT = "[vaccel-classifier]"


class ClientProfile:
    """The client's own regions: of each the total time and the number of its samples."""

    def __init__(self) -> None:
        self._regions: dict[str, tuple[int, int]] = {}

    def add(self, region: str, seconds: float) -> None:
        """One more sample of a region."""
        total, entries = self._regions.get(region, (0, 0))
        self._regions[region] = (total + round(seconds * 1e9), entries + 1)

    def log(self, remote: RemoteModel) -> None:
        """Logs a line for each region of the client's, and of the agent's current session.

        They are logged at info whatever the level of the log is, since they were asked for. An
        agent that gives no profile is a warning.
        """
        _log.setLevel(logging.INFO)
        for region, (total, entries) in self._regions.items():
            _log.info("%s", _line(f"{_COMPONENT} {region}", total, entries))
        try:
            regions = totals(remote.profile(_TIMEOUT_S))
        except RpcError as error:
            _log.warning("[prof] The agent gave no profile: %s: %s", error.name, error.message)
            return
        for region, (total, entries) in regions.items():
            _log.info("%s", _line(region, total, entries))
        if not regions:
            _log.warning("[prof] The agent's profile of this session is empty")


def totals(profile: Profile) -> Mapping[str, tuple[int, int]]:
    """The total time in nanoseconds and the number of samples of each region that has any."""
    return {region: (sum(time for _, time in samples), len(samples)) for region, samples in profile.items() if samples}


def _line(region: str, total: int, entries: int) -> str:
    return f"[prof] {region}: total_time: {total} nsec nr_entries: {entries}"
