"""Who gets a run: shares follow what agents can do. Simulated, with a clock of its own."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from vaccel_rpc.pool.budget import FLOOR, SHARE, WINDOW_S, RetryBudget
from vaccel_rpc.pool.load import Load, OutstandingRun
from vaccel_rpc.pool.picking import pick


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class SimulatedAgent:
    """An agent that runs one text after the other: ``seconds`` for each token."""

    def __init__(self, clock: Clock, seconds: float, *, preferred: bool = False) -> None:
        self.load, self.seconds, self.preferred = Load(clock), seconds, preferred
        self.free_at = 0.0


@dataclass(order=True)
class ArrivingAnswer:
    """An answer on its way."""

    at: float
    agent: SimulatedAgent = field(compare=False)
    run: OutstandingRun = field(compare=False)


class ClosedLoop:
    """Clients that each send their next text when the last one is answered."""

    def __init__(self, clock: Clock, clients: int, seed: int = 1) -> None:
        self._clock, self._random = clock, random.Random(seed)
        self._idle = clients
        self._answers: list[ArrivingAnswer] = []

    def run(self, agents: list[SimulatedAgent], seconds: float) -> Counter[SimulatedAgent]:
        """Tokens that each agent answered within so many seconds."""
        end, done = self._clock.now + seconds, Counter[SimulatedAgent]()
        while self._clock.now < end:
            while self._idle:
                self._idle -= 1
                self._send(agents)
            answer = heapq.heappop(self._answers)
            self._clock.now = answer.at
            answer.agent.load.end(answer.run, answered=True)
            done[answer.agent] += answer.run.tokens
            self._idle += 1
        return done

    def _send(self, agents: list[SimulatedAgent]) -> None:
        tokens = self._random.randint(3, 60)
        agent = pick(agents, tokens, self._random.randrange)
        run = agent.load.begin(tokens)
        agent.free_at = max(agent.free_at, self._clock.now) + tokens * agent.seconds + 0.0005
        heapq.heappush(self._answers, ArrivingAnswer(agent.free_at, agent, run))


@pytest.mark.parametrize("clients", [8, 16, 64])
def test_equal_agents_get_equal_shares(clients: int) -> None:
    """Of one agent that becomes four, each has its share of the work within 15 %."""
    clock = Clock()
    agents = [SimulatedAgent(clock, 0.0003) for _ in range(4)]
    loop = ClosedLoop(clock, clients)
    loop.run(agents[:1], 10)
    loop.run(agents, 5)
    done = loop.run(agents, 25)
    for agent in agents:
        assert done[agent] == pytest.approx(sum(done.values()) / 4, rel=0.15)


@pytest.mark.parametrize("clients", [16, 64])
def test_a_slow_agent_gets_what_it_can_do(clients: int) -> None:
    """One of two is made four times slower: it gets a fifth of the work."""
    clock = Clock()
    quick, slow = SimulatedAgent(clock, 0.0003), SimulatedAgent(clock, 0.0003)
    loop = ClosedLoop(clock, clients)
    loop.run([quick, slow], 10)
    slow.seconds *= 4
    loop.run([quick, slow], 10)
    done = loop.run([quick, slow], 30)
    assert 0.13 < done[slow] / sum(done.values()) < 0.27


def test_an_agent_that_was_slow_is_tried_again() -> None:
    """Its pace is forgiven after a while, and it has its share again."""
    clock = Clock()
    one, other = SimulatedAgent(clock, 0.0003), SimulatedAgent(clock, 0.01)
    loop = ClosedLoop(clock, 2)
    loop.run([one, other], 20)
    other.seconds = 0.0003
    loop.run([one, other], 60)
    done = loop.run([one, other], 30)
    assert done[other] / sum(done.values()) > 0.35


def test_a_run_without_an_answer_makes_an_agent_slow() -> None:
    """Before any answer says so: a frozen agent gets few more, not half of all."""
    clock = Clock()
    frozen, living = SimulatedAgent(clock, 1), SimulatedAgent(clock, 1)
    for agent in (frozen, living):
        run = agent.load.begin(10)
        clock.now += 0.01
        agent.load.end(run, answered=True)
    frozen.load.begin(10)
    clock.now += 1
    picked = Counter(pick([frozen, living], 10, random.Random(i).randrange) for i in range(50))
    assert picked[living] == 50


def test_a_preferred_agent_goes_first() -> None:
    """Whatever its load is; without one, all others are the same."""
    clock = Clock()
    near, far = SimulatedAgent(clock, 1, preferred=True), SimulatedAgent(clock, 1)
    near.load.begin(1000)
    assert {pick([near, far, far], 1, random.Random(i).randrange) for i in range(20)} == {near}


def test_an_agent_nobody_knows_gets_no_flood() -> None:
    """What is outstanding counts from the first run on, though no answer has come yet."""
    clock = Clock()
    agents = [SimulatedAgent(clock, 1) for _ in range(2)]
    for i in range(100):
        pick(agents, 10, random.Random(i).randrange).load.begin(10)
    assert [agent.load.runs for agent in agents] == [50, 50]


def test_a_run_ends_once() -> None:
    """Whoever ends it again changes nothing."""
    load = Load(Clock())
    run, other = load.begin(10), load.begin(5)
    for _ in range(3):
        load.end(run, answered=False)
    assert (load.outstanding, load.runs, load.oldest) == (5, 1, 0.0)
    load.end(other, answered=False)
    assert (load.outstanding, load.runs, load.oldest, load.pace()) == (0, 0, None, None)


def test_retries_are_a_fifth_of_the_calls_and_a_floor() -> None:
    """Within ten seconds; what is older does not count, neither as a call nor as a retry."""
    clock = Clock(100.0)
    budget = RetryBudget(clock)
    for _ in range(1000):
        budget.called()
    allowed = FLOOR + int(SHARE * 1000)
    assert [budget.retry() for _ in range(allowed + 1)] == [True] * allowed + [False]
    clock.now += WINDOW_S - 1
    assert not budget.retry()
    clock.now += 1
    assert [budget.retry() for _ in range(FLOOR + 1)] == [True] * FLOOR + [False]
    clock.now += 1000
    assert budget.retry()
