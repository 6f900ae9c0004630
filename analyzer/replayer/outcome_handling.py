"""Decides from a request's outcome what becomes of its events: confirm, retry, split, hold, or stop the run."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from analyzer.errors import Message
from analyzer.replayer.journal import CONFIRMED, UNCERTAIN
from analyzer.replayer.options import ReplayOptions
from analyzer.replayer.outcome import Kind, Outcome, remedy_for
from analyzer.replayer.scheduling import Job, RateLimiter, backoff_seconds

MAX_REFUSED = 10
"""After this many single events were refused in a row, events elsewhere are probed."""

MAX_PROBES = 3
"""If this many probes are refused too, the cause is not the events, and the run stops."""

Decision = tuple[str | None, list[Job]]
"""The state of a chunk's events, None where they stay unsent, and the jobs to send in its place."""


class Stop(Enum):
    """Why a run ended with events unsent."""

    LIMIT = "limit"
    OUTAGE = "outage"
    SYSTEMIC = "systemic"
    FORBIDDEN = "forbidden"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why a run ended early, and the message that tells the user."""

    stop: Stop
    message: str


@dataclass(slots=True)
class Counts:
    """What a run did; in events, except `requests`, `retries` and `bytes` (of request bodies)."""

    confirmed: int = 0
    dead_lettered: int = 0
    uncertain: int = 0
    requests: int = 0
    retries: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Clock:
    """Monotonic time in seconds and random numbers, which tests replace."""

    now: Callable[[], float] = time.monotonic
    rng: random.Random = field(default_factory=random.Random)


class OutcomeHandler:
    """Handles the outcomes of one run; its threads share it, under one lock."""

    stopped: Stopped | None

    def __init__(self, options: ReplayOptions, rate_limiter: RateLimiter, clock: Clock) -> None:
        self._options, self._rate_limiter, self._clock = options, rate_limiter, clock
        self.stopping, self.stopped, self.counts = threading.Event(), None, Counts()
        self.waiting = ""
        self.last_error: str | None = None
        self.probing = False
        self._refused_probes = 0
        self._last_was_confirmed = False
        self._suspects: list[tuple[Job, Outcome]] = []
        self._uncertain_in_a_row = 0
        self._lock = threading.RLock()

    def stop(self, stop: Stop, message: str) -> None:
        """End the run after the requests in progress; the first reason counts."""
        self.stopped = self.stopped or Stopped(stop, message)
        self.stopping.set()

    def add(self, **counts: int) -> None:
        """Add to `counts` by name."""
        with self._lock:
            for name, number in counts.items():
                setattr(self.counts, name, getattr(self.counts, name) + number)

    def add_request(self, max_requests: int | None) -> bool:
        """Count a request and return True, or return False if the maximum is reached."""
        with self._lock:
            if max_requests is not None and self.counts.requests >= max_requests:
                return False
            self.counts.requests += 1
            return True

    def handle(self, job: Job, outcome: Outcome) -> Decision:
        """Count an outcome, and return the state of the job's events and the jobs to send in its place."""
        with self._lock:
            if outcome.kind is Kind.CONFIRMED:
                self._uncertain_in_a_row, self._refused_probes, self.waiting, self.probing = 0, 0, "", False
                self._rate_limiter.speed_up()
            else:
                self.last_error = str(outcome)
            state, replacements = self._decide(job, outcome)
            self._last_was_confirmed = state == CONFIRMED
            if state:
                self.add(**{state: job.chunk.events})
            return state, replacements

    def _decide(self, job: Job, outcome: Outcome) -> Decision:
        kind = outcome.kind
        if kind is Kind.CONFIRMED:
            return CONFIRMED, []
        if kind in (Kind.REFUSED, Kind.TOO_BIG):
            return None, self._bisect(job, outcome)
        if kind is Kind.AMBIGUOUS:
            return UNCERTAIN, self._resend_uncertain(job, outcome)
        if kind is Kind.FORBIDDEN:
            # The next run sends this job: the server refused the run, not the events.
            self.stop(Stop.FORBIDDEN, Message(str(outcome), ": ", remedy_for(outcome)))
            return None, [job]
        # Concurrent requests are throttled together: only the first of them slows the run down.
        if kind is Kind.THROTTLED and self._rate_limiter.paused_until() <= self._clock.now():
            self._rate_limiter.slow_down()
        return None, self._retry(job, outcome)

    def _bisect(self, job: Job, outcome: Outcome) -> list[Job]:
        """Return the halves of a refused chunk; an event refused alone becomes a suspect.

        Suspects become dead letters only once the server has confirmed other events: a server that refuses everything
        must not turn a whole log into dead letters. Many suspects in a row are therefore followed by probes.
        """
        if job.chunk.events > 1:
            return [Job(half) for half in job.chunk.halves()]
        self._suspects.append((job, outcome))
        self._refused_probes += job.probe
        if self._refused_probes >= MAX_PROBES:
            self._stop_systemic()
        self.probing = len(self._suspects) >= MAX_REFUSED
        return []

    def _stop_systemic(self) -> None:
        job, outcome = self._suspects[0]
        where = " from different parts of the selection" if self._refused_probes else ""
        fate = "are dead letters" if self.counts.confirmed else "stay unsent, because the server accepted no event"
        first = f"the first is {job.chunk.text}: {outcome}"
        refused = f"{len(self._suspects)} events{where} were refused and {fate}"
        self.stop(Stop.SYSTEMIC, f"{refused}; {first}; check the team and the server, then run this again")

    def take_dead_letters(self, *, at_the_end: bool = False) -> list[tuple[Job, Outcome]]:
        """Return suspects that are dead letters: the server just confirmed other events, or the run is over.

        If the server confirmed nothing in the whole run and the suspects are many, the run stops as a systemic failure
        and they stay unsent.
        """
        with self._lock:
            if not self._suspects or not (at_the_end or self._last_was_confirmed):
                return []
            if at_the_end and not self.counts.confirmed:
                if len(self._suspects) >= MAX_REFUSED:
                    self._stop_systemic()
                if self.stopped:
                    return []
            dead, self._suspects = self._suspects, []
            return dead

    def _resend_uncertain(self, job: Job, outcome: Outcome) -> list[Job]:
        """Return the retry of an ambiguous request if the options allow it; stop after several in a row."""
        self._uncertain_in_a_row += 1
        if self._uncertain_in_a_row >= self._options.max_uncertain:
            problem = f"for {self._uncertain_in_a_row} requests in a row it is uncertain whether they were recorded"
            self.stop(Stop.OUTAGE, f"{problem} ({outcome}); check the server, then run this again")
        elif self._options.resend:
            retry = self._retry(job, outcome)
            return [] if self.stopping.is_set() else retry
        return []

    def _retry(self, job: Job, outcome: Outcome) -> list[Job]:
        """Return the job for a later attempt, and pause the run until then; stop it once the budget is used up."""
        now, attempts = self._clock.now(), job.attempts + 1
        since = now if job.first_failed_at is None else job.first_failed_at
        retry_after = outcome.retry_after_seconds
        seconds = backoff_seconds(attempts, self._clock.rng) if retry_after is None else retry_after
        if attempts > self._options.retries or now + seconds - since > self._options.retry_for:
            wish = f" and asks to wait {retry_after:.0f} s" if retry_after else ""
            tried = f"given up after {attempts} attempt{'s' * (attempts > 1)} in {now - since:.0f} s"
            self.stop(Stop.FAILED, f"{outcome}{wish}; {tried}; run this again later")
        else:
            self.waiting = f"{outcome}, waiting {seconds:.0f} s"
            self._rate_limiter.pause(seconds)
        return [Job(job.chunk, attempts, since, job.probe)]
