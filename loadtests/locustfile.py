"""``locust -f loadtests/locustfile.py``: the users, the shape, and what decides the exit code.

See docs/loadtests.md.
"""

from __future__ import annotations

import logging
import signal
import sys
from typing import Any

import gevent
from locust import LoadTestShape, events
from locust.runners import WorkerRunner

from loadtests import criteria, options, rpc, texts
from loadtests.config import NO_SHAPE
from loadtests.criteria import RequestCounts
from loadtests.misbehaving import Misbehaving
from loadtests.rpc import RawRpc
from loadtests.streams import NdjsonStream
from loadtests.users import BatchUsers, CloudEventSource, SingleTexts, V2Client

__all__ = ["BatchUsers", "CloudEventSource", "Misbehaving", "NdjsonStream", "RawRpc", "SingleTexts", "V2Client"]

log = logging.getLogger("loadtests")
#: Seconds between two reports of a worker, with a margin.
_LAST_REPORT_S = 4.0


class ChosenShape(LoadTestShape):
    """The shape that ``--shape`` names; Locust uses the only shape class that it finds."""

    use_common_options = True
    ended = False

    def end(self) -> None:
        """Ends the test in order at the next second: Locust itself ignores SIGTERM while a shape
        runs.
        """
        self.ended = True

    def tick(self) -> tuple[int, float] | None:
        """Users and rate for this second; None at the end, when all users have left.

        Locust's own end does not wait for the pending requests of workers, which would then not be
        counted.
        """
        if self.ended:
            return None
        parsed = self.runner.environment.parsed_options
        shape, second = options.shape(parsed), self.get_run_time()
        end = shape.run_time + parsed.stop_timeout + _LAST_REPORT_S
        if shape.run_time <= second < end and self.get_current_user_count():
            return 0, shape.users
        return shape.tick(second)


@events.init_command_line_parser.add_listener
def _add_options(parser: Any, **_: Any) -> None:
    options.add(parser)


@events.init.add_listener
def _prepare(environment: Any, runner: Any, **_: Any) -> None:
    """Selects the users and the shape, and validates the options.

    A worker has its master's and decides nothing.
    """
    if isinstance(runner, WorkerRunner):
        return
    parsed = environment.parsed_options
    if parsed.shape == NO_SHAPE:
        environment.shape_class = None
    elif parsed.headless:
        gevent.signal_handler(signal.SIGTERM, environment.shape_class.end)
    try:
        every = texts.chosen(parsed)
        if parsed.rpc_address:
            rpc.agents(parsed.rpc_address)
            rpc.prepared(parsed.tokenizer, every)
    except ValueError as error:
        sys.exit(f"loadtests: {error}")
    environment.user_classes[:] = [user for user in environment.user_classes if _has_task(user, parsed)]
    if not environment.user_classes:
        sys.exit("loadtests: no user has a task: --tags and --exclude-tags leave none, or RawRpc lacks its --rpc-address")
    if parsed.headless and not parsed.host and environment.user_classes != [RawRpc]:
        sys.exit("loadtests: --host is required: the function's URL")


def _has_task(user: Any, parsed: Any) -> bool:
    if user is RawRpc and not parsed.rpc_address:
        return False
    wanted, unwanted = set(parsed.tags or ()), set(parsed.exclude_tags or ())
    tags: list[set[str]] = [task.locust_tag_set for task in user.tasks]
    return any((not wanted or wanted & own) and not unwanted & own for own in tags)


@events.quitting.add_listener
def _decide(environment: Any, **_: Any) -> None:
    if isinstance(environment.runner, WorkerRunner):
        environment.process_exit_code = 0
        return
    stats = environment.runner.stats
    times = criteria.timed((name, entry.response_times) for (name, _), entry in stats.entries.items())
    counts = RequestCounts(stats.total.num_requests, stats.total.num_failures, len(environment.runner.exceptions), times)
    results = criteria.evaluate(counts, options.criteria(environment.parsed_options))
    for result in results:
        log.log(logging.INFO if result.passed else logging.ERROR, "%s: %s", "ok" if result.passed else "FAILED", result.text)
    environment.process_exit_code = 0 if all(result.passed for result in results) else 1
