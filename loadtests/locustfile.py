"""``locust -f loadtests/locustfile.py``: the users, the shape, and what decides over the exit code. See docs/loadtests.md."""

from __future__ import annotations

import logging
import signal
import sys
from typing import Any

import gevent
from locust import LoadTestShape, events
from locust.runners import WorkerRunner

from loadtests import limits, options, rpc, texts
from loadtests.limits import RequestCounts
from loadtests.misbehaving import Misbehaving
from loadtests.rpc import RawRpc
from loadtests.streams import NdjsonStream
from loadtests.users import BatchUsers, CloudEventSource, SingleTexts, V2Client

__all__ = ["BatchUsers", "CloudEventSource", "Misbehaving", "NdjsonStream", "RawRpc", "SingleTexts", "V2Client"]

log = logging.getLogger("loadtests")
#: Seconds between two reports of a worker, and a little more.
_LAST_REPORT_S = 4.0


class Chosen(LoadTestShape):
    """The shape that ``--shape`` names: Locust takes the one class that there is."""

    use_common_options = True
    ended = False

    def end(self) -> None:
        """Ends the test at the next second, in order: Locust itself does not heed SIGTERM while a shape runs."""
        self.ended = True

    def tick(self) -> tuple[int, float] | None:
        """Users and rate for this second; None at the end, when all users have gone.

        Locust's own end does not wait for a worker whose users still wait for answers: these would not be counted.
        """
        if self.ended:
            return None
        given = self.runner.environment.parsed_options
        plan, second = options.plan(given), self.get_run_time()
        longest = plan.run_time + given.stop_timeout + _LAST_REPORT_S
        if plan.run_time <= second < longest and self.get_current_user_count():
            return 0, plan.users
        return plan.tick(second)


@events.init_command_line_parser.add_listener
def _add_options(parser: Any, **_: Any) -> None:
    options.add(parser)


@events.init.add_listener
def _prepare(environment: Any, runner: Any, **_: Any) -> None:
    """A worker has the users and options of its master, and decides nothing."""
    if isinstance(runner, WorkerRunner):
        return
    given = environment.parsed_options
    if given.shape == options.NO_SHAPE:
        environment.shape_class = None
    elif given.headless:
        gevent.signal_handler(signal.SIGTERM, environment.shape_class.end)
    try:
        texts.texts(given.texts)
        if given.rpc_address:
            rpc.address(given.rpc_address)
            rpc.prepared(given.tokenizer, given.texts)
    except ValueError as error:
        sys.exit(f"loadtests: {error}")
    environment.user_classes[:] = [user for user in environment.user_classes if _has_something_to_do(user, given)]
    if not environment.user_classes:
        sys.exit("loadtests: no user is left: --tags and --exclude-tags leave no task, or RawRpc lacks its --rpc-address")
    if given.headless and not given.host and environment.user_classes != [RawRpc]:
        sys.exit("loadtests: --host, the function's URL, is needed")


def _has_something_to_do(user: Any, given: Any) -> bool:
    if user is RawRpc and not given.rpc_address:
        return False
    wanted, unwanted = set(given.tags or ()), set(given.exclude_tags or ())
    tags: list[set[str]] = [task.locust_tag_set for task in user.tasks]
    return any((not wanted or wanted & own) and not unwanted & own for own in tags)


@events.quitting.add_listener
def _decide(environment: Any, **_: Any) -> None:
    if isinstance(environment.runner, WorkerRunner):
        environment.process_exit_code = 0
        return
    stats = environment.runner.stats
    times = limits.timed((name, entry.response_times) for (name, _), entry in stats.entries.items())
    counts = RequestCounts(stats.total.num_requests, stats.total.num_failures, len(environment.runner.exceptions), times)
    verdicts = limits.judge(counts, options.limits(environment.parsed_options))
    for verdict in verdicts:
        log.log(logging.INFO if verdict.passed else logging.ERROR, "%s: %s", "ok" if verdict.passed else "FAILED", verdict.says)
    environment.process_exit_code = 0 if all(verdict.passed for verdict in verdicts) else 1
