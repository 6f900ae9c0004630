"""When requests start: the rate, pauses, slowing down after a 429, and backoff."""

import random

from analyzer.replayer.chunk import Chunk
from analyzer.replayer.options import ReplayOptions
from analyzer.replayer.outcome import Clock, Kind, Outcome, OutcomeHandler, StopReason
from analyzer.replayer.scheduling import Job, RateLimiter, backoff_seconds
from analyzer.replayer.teams import Context


class ManualClock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_requests_start_at_the_rate() -> None:
    limiter = RateLimiter(30, clock := ManualClock())
    assert [limiter.reserve() for _ in range(3)] == [100, 102, 104]
    clock.seconds = 200
    assert [limiter.reserve() for _ in range(2)] == [200, 202]


def test_no_rate_is_no_wait() -> None:
    limiter = RateLimiter(0, ManualClock())
    assert [limiter.reserve() for _ in range(3)] == [100, 100, 100]


def test_a_pause_holds_everything() -> None:
    limiter = RateLimiter(0, clock := ManualClock())
    limiter.pause(30)
    limiter.pause(5)
    assert limiter.paused_until == limiter.reserve() == 130
    clock.seconds = 131
    assert limiter.reserve() == 131


def test_after_a_429_requests_are_farther_apart() -> None:
    limiter = RateLimiter(60, ManualClock())
    limiter.slow_down()
    assert limiter.interval_seconds == 2
    unlimited = RateLimiter(0, ManualClock())
    for _ in range(3):
        unlimited.slow_down()
    assert unlimited.interval_seconds == 0.4
    slowest = RateLimiter(0.1, ManualClock())
    slowest.slow_down()
    assert slowest.interval_seconds == 600


def test_waits_grow_with_full_jitter() -> None:
    draw = random.Random(1)  # noqa: S311  (no secret)
    for attempt, most in ((1, 1), (2, 2), (5, 16), (20, 60)):
        waits = [backoff_seconds(attempt, draw) for _ in range(200)]
        assert 0 <= min(waits) < most / 10
        assert most * 0.9 < max(waits) <= most


def test_what_the_server_asks_to_wait_holds_the_whole_run() -> None:
    clock = ManualClock()
    limiter = RateLimiter(0, clock)
    handler = OutcomeHandler(ReplayOptions(requests_per_minute=0), limiter, Clock(clock))
    job = Job(Chunk(Context(), "{}", bytes(16)))
    state, (again,) = handler.handle(job, Outcome(Kind.THROTTLED, 429, retry_after_seconds=30))
    assert (state, again.chunk, again.attempts, again.first_failed_at) == (None, job.chunk, 1, 100)
    assert limiter.reserve() == 130
    handler.handle(job, Outcome(Kind.THROTTLED, 429, retry_after_seconds=20))
    assert (limiter.interval_seconds, limiter.paused_until) == (0.1, 130)
    handler.handle(again, Outcome(Kind.THROTTLED, 429, retry_after_seconds=400))
    assert handler.stopped
    assert handler.stopped.reason is StopReason.FAILED
