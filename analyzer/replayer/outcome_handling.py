"""From the outcome of a request to what becomes of its events: what is kept, sent again, halved, or held."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from analyzer.errors import Message
from analyzer.replayer.journal import CONFIRMED, UNCERTAIN
from analyzer.replayer.options import MAX_PROBES, MAX_REFUSED, Policy, Stop, Stopped
from analyzer.replayer.outcome import Kind, Outcome, remedy_of
from analyzer.replayer.rate_limiter import RateLimiter, backoff_seconds
from analyzer.replayer.work_queue import Job

Settled = tuple[str | None, list[Job]]
"""A chunk's state, None where its events are unsent, and what is to be sent in its place."""


@dataclass(slots=True)
class Counts:
    """What a run did, in events but for `requests`, `retries` and `bytes`."""

    confirmed: int = 0
    dead_lettered: int = 0
    uncertain: int = 0
    requests: int = 0
    retries: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Clock:
    """Time and chance, which tests set."""

    now: Callable[[], float] = time.monotonic
    draw: random.Random = field(default_factory=random.Random)


class OutcomeHandler:
    """Settles the outcomes of one run; its senders share it, one at a time."""

    def __init__(self, policy: Policy, pace: RateLimiter, clock: Clock) -> None:
        self._policy, self._pace, self._clock = policy, pace, clock
        self.ending, self.stopped, self.counts = threading.Event(), None, Counts()
        self.waiting = ""
        self.last_error: str | None = None
        self.probing = False
        self._probes_refused = 0
        self._last_confirmed = False
        self._suspects: list[tuple[Job, Outcome]] = []
        self._uncertain_in_a_row = 0
        self._lock = threading.Lock()

    stopped: Stopped | None

    def stop(self, stop: Stop, words: str) -> None:
        """End the run after the requests that are under way; the first reason counts."""
        self.stopped = self.stopped or Stopped(stop, words)
        self.ending.set()

    def count(self, **more: int) -> None:
        """Add to the counts by name; all of them are only changed under the one lock."""
        with self._lock:
            self._add(more)

    def count_request(self, most: int | None) -> bool:
        """Count a request; False, and not counted, where that is more than there may be."""
        with self._lock:
            if most is not None and self.counts.requests >= most:
                return False
            self.counts.requests += 1
            return True

    def _add(self, more: Mapping[str, int]) -> None:
        for name, number in more.items():
            setattr(self.counts, name, getattr(self.counts, name) + number)

    def settle(self, job: Job, outcome: Outcome) -> Settled:
        """Decide what becomes of a job by its outcome."""
        with self._lock:
            if outcome.kind is Kind.CONFIRMED:
                self._uncertain_in_a_row, self._probes_refused, self.waiting, self.probing = 0, 0, "", False
                self._pace.ease()
            else:
                self.last_error = describe_outcome(outcome)
            state, back = self._decide(job, outcome)
            self._last_confirmed = state == CONFIRMED
            if state:
                self._add({state: job.chunk.events})
            return state, back

    def _decide(self, job: Job, outcome: Outcome) -> Settled:
        kind = outcome.kind
        if kind is Kind.CONFIRMED:
            return CONFIRMED, []
        if kind in (Kind.REFUSED, Kind.TOO_BIG):
            return self._refused(job, outcome)
        if kind is Kind.AMBIGUOUS:
            return self._ambiguous(job, outcome)
        if kind is Kind.FORBIDDEN:
            self.stop(Stop.FORBIDDEN, Message(describe_outcome(outcome), ": ", remedy_of(outcome)))
            return None, [job]
        if kind is Kind.THROTTLED and self._pace.paused_until() <= self._clock.now():
            self._pace.slow_down()  # once, however many requests were under way
        return None, self._again(job, outcome)

    def _refused(self, job: Job, outcome: Outcome) -> Settled:
        """Halve a chunk that was refused; an event that is refused alone is suspected to be a dead letter.

        After many suspects, events elsewhere are tried. Where those are refused too, not they are at fault.
        """
        if job.chunk.events > 1:
            return None, [Job(half) for half in job.chunk.halves()]
        self._suspects.append((job, outcome))
        self._probes_refused += job.probe
        if self._probes_refused >= MAX_PROBES:
            self._give_up()
        self.probing = len(self._suspects) >= MAX_REFUSED
        return None, []

    def _give_up(self) -> None:
        job, outcome = self._suspects[0]
        fate = "are dead letters" if self.counts.confirmed else "stay unsent, as none was taken"
        where = ", here and elsewhere," if self._probes_refused else ""
        words = f"{len(self._suspects)} events were refused{where} and {fate}"
        what = f"the first is {job.chunk.text}: {describe_outcome(outcome)}"
        self.stop(Stop.SYSTEMIC, f"{words}; {what}; look at the team and the server, then run this again")

    def dead(self, *, at_the_end: bool = False) -> list[tuple[Job, Outcome]]:
        """Return the suspects that are dead letters: the server took something after them, or before, or they are few.

        Where it took nothing and they are many, the run stops at its end, and they stay unsent.
        """
        with self._lock:
            if not self._suspects or not (at_the_end or self._last_confirmed):
                return []
            if at_the_end and not self.counts.confirmed:
                if len(self._suspects) >= MAX_REFUSED:
                    self._give_up()
                if self.stopped:
                    return []
            found, self._suspects = self._suspects, []
            return found

    def _ambiguous(self, job: Job, outcome: Outcome) -> Settled:
        self._uncertain_in_a_row += 1
        if self._uncertain_in_a_row >= self._policy.max_uncertain:
            what = describe_outcome(outcome)
            words = f"{self._uncertain_in_a_row} requests in a row may or may not have been taken ({what})"
            self.stop(Stop.OUTAGE, f"{words}; see that the server is well, then run this again")
        elif self._policy.resend_uncertain:
            back = self._again(job, outcome)
            return UNCERTAIN, [] if self.ending.is_set() else back
        return UNCERTAIN, []

    def _again(self, job: Job, outcome: Outcome) -> list[Job]:
        """Send a chunk again later, within the budget; where that is used up, the run stops."""
        now, attempts = self._clock.now(), job.attempts + 1
        since = now if job.first_failed is None else job.first_failed
        asked = outcome.retry_after_seconds
        seconds = backoff_seconds(attempts, self._clock.draw) if asked is None else asked
        if attempts > self._policy.retries or now + seconds - since > self._policy.retry_seconds:
            wish = f", and asks to wait {asked:.0f} s" if asked else ""
            tried = f"given up after {attempts} attempt{'s' * (attempts > 1)} in {now - since:.0f} s"
            self.stop(Stop.FAILED, f"{describe_outcome(outcome)}{wish}; {tried}; run this again later")
        else:
            self.waiting = f"{describe_outcome(outcome)}, waiting {seconds:.0f} s"
            self._pace.pause(seconds)
        return [Job(job.chunk, attempts, since, job.probe)]


def describe_outcome(outcome: Outcome) -> str:
    """Return an outcome in words."""
    if not outcome.status:
        return outcome.words or "no answer"
    return f"the server answered {outcome.status}" + (f" ({outcome.words})" if outcome.words else "")
