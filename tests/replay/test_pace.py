"""When requests start: the rate, pauses, slowing down, and waits that grow."""

import random

from analyzer.replayer.chunk import Chunk
from analyzer.replayer.options import Policy, Stop
from analyzer.replayer.outcome import Kind, Outcome
from analyzer.replayer.outcome_handling import Clock, OutcomeHandler
from analyzer.replayer.rate_limiter import RateLimiter, backoff_seconds
from analyzer.replayer.teams import Context
from analyzer.replayer.work_queue import Job


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_requests_start_at_the_rate() -> None:
    pace = RateLimiter(30, clock := Hand())
    assert [pace.reserve() for _ in range(3)] == [100, 102, 104]
    clock.seconds = 200
    assert [pace.reserve() for _ in range(2)] == [200, 202]


def test_no_rate_is_no_wait() -> None:
    pace = RateLimiter(0, Hand())
    assert [pace.reserve() for _ in range(3)] == [100, 100, 100]


def test_a_pause_holds_everything() -> None:
    pace = RateLimiter(0, clock := Hand())
    pace.pause(30)
    pace.pause(5)
    assert pace.paused_until() == pace.reserve() == 130
    clock.seconds = 131
    assert pace.reserve() == 131


def test_after_a_429_requests_are_farther_apart() -> None:
    pace = RateLimiter(60, Hand())
    pace.slow_down()
    assert pace.interval_seconds == 2
    unlimited = RateLimiter(0, Hand())
    for _ in range(3):
        unlimited.slow_down()
    assert unlimited.interval_seconds == 0.4
    slowest = RateLimiter(0.1, Hand())
    slowest.slow_down()
    assert slowest.interval_seconds == 600


def test_waits_grow_with_full_jitter() -> None:
    draw = random.Random(1)  # noqa: S311  (no secret)
    for attempt, most in ((1, 1), (2, 2), (5, 16), (20, 60)):
        waits = [backoff_seconds(attempt, draw) for _ in range(200)]
        assert 0 <= min(waits) < most / 10
        assert most * 0.9 < max(waits) <= most


def test_what_the_server_asks_to_wait_holds_the_whole_run() -> None:
    hand = Hand()
    pace = RateLimiter(0, hand)
    settler = OutcomeHandler(Policy(0), pace, Clock(hand))
    job = Job(Chunk(Context(), "{}", bytes(16)))
    state, (again,) = settler.settle(job, Outcome(Kind.THROTTLED, 429, retry_after_seconds=30))
    assert (state, again.chunk, again.attempts, again.first_failed) == (None, job.chunk, 1, 100)
    assert pace.reserve() == 130
    settler.settle(job, Outcome(Kind.THROTTLED, 429, retry_after_seconds=20))
    assert (pace.interval_seconds, pace.paused_until()) == (0.1, 130)
    settler.settle(again, Outcome(Kind.THROTTLED, 429, retry_after_seconds=400))
    assert settler.stopped
    assert settler.stopped.stop is Stop.FAILED
