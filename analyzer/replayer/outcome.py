"""Classifies the outcome of each request, and decides what follows: confirm, retry, split, hold, or stop the run.

Events of a request that was certainly not processed are sent again. Confirmed events are never sent again. All others
are uncertain: the server may have recorded them.
"""

import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum

from analyzer.errors import Message, Option
from analyzer.replayer.journal import CONFIRMED, UNCERTAIN
from analyzer.replayer.options import ReplayOptions
from analyzer.replayer.scheduling import Job, RateLimiter, backoff_seconds

MAX_REFUSED = 10  # after this many single events were refused in a row, events elsewhere are probed
MAX_PROBES = 3  # if this many probes are refused too, the cause is not the events, and the run stops

# The `code` of an outcome where the server did not answer in time, or no known authority signed its certificate.
TIMED_OUT, UNTRUSTED = "timed out", "untrusted certificate"


class Kind(Enum):
    """The class of an outcome, which decides what happens to the events."""

    CONFIRMED = "confirmed"
    NOT_SENT = "not sent"
    THROTTLED = "throttled"
    TOO_BIG = "too big"
    REFUSED = "refused"
    FORBIDDEN = "forbidden"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a request.

    `message` is the server's, or the network's error. `code` is the API's `error.code`, UNTRUSTED or TIMED_OUT.
    """

    kind: Kind
    status: int | None = None
    message: str = ""
    code: str = ""
    retry_after_seconds: float | None = None

    def __str__(self) -> str:
        if not self.status:
            return self.message or "no answer"
        return f"the server answered {self.status}" + (f" ({self.message})" if self.message else "")


KIND_OF_STATUS = {
    400: Kind.REFUSED, 408: Kind.AMBIGUOUS, 413: Kind.TOO_BIG, 422: Kind.REFUSED, 429: Kind.THROTTLED,
}  # fmt: skip


def classify_status(status: int) -> Kind:
    """Return the kind of an HTTP status; redirects and the other client errors concern the whole run.

    >>> classify_status(202), classify_status(302), classify_status(503)
    (<Kind.CONFIRMED: 'confirmed'>, <Kind.FORBIDDEN: 'forbidden'>, <Kind.AMBIGUOUS: 'ambiguous'>)
    """
    if status in KIND_OF_STATUS:
        return KIND_OF_STATUS[status]
    if 200 <= status <= 299:  # noqa: PLR2004  (the range of success)
        return Kind.CONFIRMED
    # A 5xx is ambiguous, not refused: a server may record the events first and fail afterwards.
    return Kind.FORBIDDEN if 300 <= status <= 499 else Kind.AMBIGUOUS  # noqa: PLR2004  (redirects and client errors)


_SECONDS = re.compile(r"[0-9]+([.][0-9]*)?")
MIN_EPOCH_SECONDS, MAX_EPOCH_SECONDS = 1e9, 1e11  # smaller numbers are a duration, larger ones milliseconds


def parse_retry_after(value: str | None, server_date: str | None) -> float | None:
    """Return the seconds to wait by a `Retry-After` header, a number of seconds or a date; None if it is neither.

    A date is relative to the server's clock, the answer's `Date` header. Some servers send fractions of a second.

    >>> parse_retry_after("120", None), parse_retry_after("0.5", None)
    (120.0, 0.5)
    >>> parse_retry_after("Thu, 01 Jan 2026 00:01:00 GMT", "Thu, 01 Jan 2026 00:00:00 GMT")
    60.0
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text[:9])
    date, now = _parse_date(text), _parse_date(server_date) or datetime.now(UTC)
    return max(0.0, (date - now).total_seconds()) if date else None


def parse_rate_reset(value: str | None, server_date: str | None) -> float | None:
    """Return the seconds to wait by an `X-RateLimit-Reset` header: seconds since 1970, or from now if it is small.

    >>> parse_rate_reset("1767225660", "Thu, 01 Jan 2026 00:00:00 GMT"), parse_rate_reset("30", None)
    (60.0, 30.0)
    """
    text = (value or "").strip()
    if not _SECONDS.fullmatch(text):
        return None
    seconds = float(text)
    if seconds < MIN_EPOCH_SECONDS:
        return seconds
    seconds = seconds / 1000 if seconds > MAX_EPOCH_SECONDS else seconds
    now = _parse_date(server_date) or datetime.now(UTC)
    return max(0.0, seconds - now.timestamp())


def _parse_date(text: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(text or "")
        return date.replace(tzinfo=date.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


API = Option("api")
REMEDIES: dict[str | int, str] = {
    301: Message(API, " must name the final server: redirects are not followed, because they would expose the token"),
    401: Message("the token is not valid: check ", Option("token")),
    402: "the team's billing needs attention",
    403: "the token may not write to this team, or the team has reached a limit",
    404: Message("there is no such API: check ", API, " and the team"),
    410: Message("the server no longer has this API: check ", API),
    UNTRUSTED: Message(Option("ca_file"), " names the certificate of a private authority"),
    "remote_caching_disabled": "remote caching is disabled: a team owner can turn it on",
    "remote_caching_over_limit": "the team is over its limit: wait, or raise it",
    "remote_caching_paused": "remote caching is paused: resume it in the team's settings",
}


def remedy_for(outcome: Outcome) -> str:
    """Return what the user can do about an outcome that stops the run."""
    status = 301 if 300 <= (outcome.status or 0) <= 399 else outcome.status  # noqa: PLR2004  (redirects)
    default = Message("check ", API, ", the team and the token")
    return REMEDIES.get(outcome.code) or REMEDIES.get(status or 0) or default


class StopReason(Enum):
    """Why a run ended with events unsent."""

    LIMIT = "a limit of the options was reached"
    FORBIDDEN = "the server refused the run"
    FAILED = "the server, the journal or a file failed"
    INTERRUPTED = "the user interrupted it"


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why a run ended early, and the message for the user."""

    reason: StopReason
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
    """Handles the outcomes of one run; safe to use from several threads."""

    def __init__(self, options: ReplayOptions, rate_limiter: RateLimiter, clock: Clock) -> None:
        self._options, self._rate_limiter, self._clock = options, rate_limiter, clock
        self.stopping, self.counts, self._lock = threading.Event(), Counts(), threading.RLock()
        self.stopped: Stopped | None = None
        self.last_error: str | None = None
        self.waiting, self.probing = "", False
        self._suspects: list[tuple[Job, Outcome]] = []
        self._refused_probes = self._uncertain_in_a_row = 0
        self._last_was_confirmed = False

    def stop(self, reason: StopReason, message: str) -> None:
        """End the run after the requests in progress; the first reason counts."""
        self.stopped = self.stopped or Stopped(reason, message)
        self.stopping.set()

    def add(self, **counts: int) -> None:
        """Add to `counts` by name."""
        with self._lock:
            for name, number in counts.items():
                setattr(self.counts, name, getattr(self.counts, name) + number)

    def begin_request(self) -> bool:
        """Count a request and return True; once the maximum is reached, stop the run and return False."""
        limit = self._options.max_requests
        with self._lock:
            if limit is not None and self.counts.requests >= limit:
                self.stop(StopReason.LIMIT, Message(Option("max_requests", limit), " reached; run this again to go on"))
                return False
            self.counts.requests += 1
            return True

    def handle(self, job: Job, outcome: Outcome) -> tuple[str | None, list[Job]]:
        """Count an outcome; return the state of the job's events, None if unsent, and the jobs to send in its place."""
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

    def _decide(self, job: Job, outcome: Outcome) -> tuple[str | None, list[Job]]:
        kind = outcome.kind
        if kind is Kind.CONFIRMED:
            return CONFIRMED, []
        if kind in (Kind.REFUSED, Kind.TOO_BIG):
            return None, self._bisect(job, outcome)
        if kind is Kind.AMBIGUOUS:
            return UNCERTAIN, self._resend_uncertain(job, outcome)
        if kind is Kind.FORBIDDEN:
            # The next run sends this job: the server refused the run, not the events.
            self.stop(StopReason.FORBIDDEN, Message(str(outcome), ": ", remedy_for(outcome)))
            return None, [job]
        # Concurrent requests are throttled together: only the first of them slows the run down.
        if kind is Kind.THROTTLED and self._rate_limiter.paused_until <= self._clock.now():
            self._rate_limiter.slow_down()
        return None, self._retry(job, outcome)

    def _bisect(self, job: Job, outcome: Outcome) -> list[Job]:
        """Return the halves of a refused chunk; an event refused alone becomes a suspect.

        Suspects become dead letters only once the server has confirmed other events: a server that refuses everything
        must not turn a whole log into dead letters. Many suspects in a row are therefore followed by probes.
        """
        if job.chunk.events > 1:
            return [Job(half) for half in job.chunk.split((job.chunk.events + 1) // 2)]
        self._suspects.append((job, outcome))
        self._refused_probes += job.probe
        if self._refused_probes >= MAX_PROBES:
            self._stop_systemic()
        self.probing = len(self._suspects) >= MAX_REFUSED
        return []

    def _stop_systemic(self) -> None:
        job, outcome = self._suspects[0]
        origin = " from different parts of the selection" if self._refused_probes else ""
        result = "are dead letters" if self.counts.confirmed else "stay unsent, because the server accepted no event"
        first = f"the first is {job.chunk.text}: {outcome}"
        refused = f"{len(self._suspects)} events{origin} were refused and {result}"
        self.stop(StopReason.FAILED, f"{refused}; {first}; check the team and the server, then run this again")

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
            self.stop(StopReason.FAILED, f"{problem} ({outcome}); check the server, then run this again")
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
        # Waiting beyond the budget only to give up then would help nobody.
        if attempts > self._options.retries or now + seconds - since > self._options.retry_for:
            wait = f" and asks to wait {retry_after:.0f} s" if retry_after else ""
            attempted = f"given up after {attempts} attempt{'s' * (attempts > 1)} in {now - since:.0f} s"
            self.stop(StopReason.FAILED, f"{outcome}{wait}; {attempted}; run this again later")
        else:
            self.waiting = f"{outcome}, waiting {seconds:.0f} s"
            self._rate_limiter.pause(seconds)
        return [Job(job.chunk, attempts, since, job.probe)]
