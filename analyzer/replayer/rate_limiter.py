"""When requests may start: a rate, pauses that the server asks for, and growing waits before retries."""

import random
import threading
from collections.abc import Callable

MINUTE_SECONDS = 60.0
FIRST_BACKOFF_SECONDS, MOST_BACKOFF_SECONDS = 1.0, 60.0
SLOWER = 2.0
"""After a 429 requests start so many times as far apart; each that is taken brings them a little closer again."""

EASED = 0.95
NEGLIGIBLE_SECONDS = 0.001
LEAST_INTERVAL_SECONDS = 0.1
"""How far apart requests start after a 429 where no rate was set."""


class RateLimiter:
    """Hands out start times to all senders of a run; `now` is a clock in seconds that never goes back."""

    def __init__(self, requests_per_minute: float, now: Callable[[], float]) -> None:
        self._least = MINUTE_SECONDS / requests_per_minute if requests_per_minute else 0.0
        self.interval_seconds = self._least
        self._now, self._lock = now, threading.Lock()
        self._next = self._pause_until = now()

    def reserve(self) -> float:
        """Take the next start; return its time."""
        with self._lock:
            start = max(self._now(), self._next, self._pause_until)
            self._next = start + self.interval_seconds
            return start

    def pause(self, seconds: float) -> None:
        """Let nothing start for so long."""
        with self._lock:
            self._pause_until = max(self._pause_until, self._now() + seconds)

    def paused_until(self) -> float:
        """Return the time before which nothing starts."""
        return self._pause_until

    def ease(self) -> None:
        """Start requests a little closer again, down to the rate that was asked for."""
        with self._lock:
            eased = self.interval_seconds * EASED
            self.interval_seconds = self._least if eased < max(self._least, NEGLIGIBLE_SECONDS) else eased

    def slow_down(self) -> None:
        """Start requests farther apart."""
        with self._lock:
            slower = max(self.interval_seconds * SLOWER, LEAST_INTERVAL_SECONDS)
            self.interval_seconds = max(self.interval_seconds, min(slower, MOST_BACKOFF_SECONDS))


def backoff_seconds(attempt: int, draw: random.Random) -> float:
    """Return how long to wait after failed attempt `attempt` (from 1): anything up to a limit that doubles."""
    return draw.uniform(0, min(MOST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** (attempt - 1)))
