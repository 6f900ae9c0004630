"""Schedules requests: RateLimiter decides when the next one may start, WorkQueue which chunk it carries."""

import random
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Full, Queue

from analyzer.replayer.chunk import Chunk

FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 1.0, 60.0
SLOWDOWN, SPEEDUP = 2.0, 0.95  # factors of the interval between requests, after a 429 and after each success
THROTTLED_INTERVAL_SECONDS = 0.1  # after the first 429, where no rate is set
NEGLIGIBLE_SECONDS = 0.001
PREPARED_CHUNKS = 200
POLL_SECONDS = 0.05
FIRST_PATIENCE = 10  # requests to confirm before larger bodies are tried again


class RateLimiter:
    """Hands out start times to all threads of a run: none before `paused_until` on the monotonic clock `now`."""

    def __init__(self, requests_per_minute: float, now: Callable[[], float]) -> None:
        self._min_interval = 60 / requests_per_minute if requests_per_minute else 0.0
        self.interval_seconds = self._min_interval
        self._now, self._lock = now, threading.Lock()
        self._next = self.paused_until = now()

    def reserve(self) -> float:
        """Reserve the next start and return its time."""
        with self._lock:
            start = max(self._now(), self._next, self.paused_until)
            self._next = start + self.interval_seconds
            return start

    def pause(self, seconds: float) -> None:
        """Let no request start for some seconds."""
        with self._lock:
            self.paused_until = max(self.paused_until, self._now() + seconds)

    def slow_down(self) -> None:
        """Double the interval between requests."""
        with self._lock:
            slower = max(self.interval_seconds * SLOWDOWN, THROTTLED_INTERVAL_SECONDS)
            self.interval_seconds = max(self.interval_seconds, min(slower, MAX_BACKOFF_SECONDS))

    def speed_up(self) -> None:
        """Shorten the interval between requests a little, down to that of the rate in the options."""
        with self._lock:
            # Without a rate the interval would shrink forever and never be 0 again.
            faster, floor = self.interval_seconds * SPEEDUP, max(self._min_interval, NEGLIGIBLE_SECONDS)
            self.interval_seconds = self._min_interval if faster < floor else faster


def backoff_seconds(attempt: int, rng: random.Random) -> float:
    """Return the wait after failed attempt `attempt` (from 1): exponential backoff with full jitter."""
    return rng.uniform(0, min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** (attempt - 1)))


@dataclass(slots=True)
class Job:
    """A chunk to send, its failed attempts, and the time of the first; a `probe` is a single event sent ahead."""

    chunk: Chunk
    attempts: int = 0
    first_failed_at: float | None = None
    probe: bool = False


class WorkQueue:
    """Thread-safe queue of jobs: returned jobs first, then chunks that a background thread prepares ahead.

    A thread that takes a job must end it with `finish`, which also returns the jobs to be sent in its place.
    """

    def __init__(self, chunks: Iterator[Chunk], stopping: threading.Event, rng: random.Random) -> None:
        self._chunks, self._stopping, self._rng = chunks, stopping, rng
        self._prepared: Queue[Chunk | BaseException | None] = Queue(PREPARED_CHUNKS)
        self._returned: deque[Job] = deque()
        self._lock = threading.Lock()
        self._in_progress, self._exhausted, self._max_bytes = 0, False, sys.maxsize
        self._confirmed, self._patience, self._sizes = 0, FIRST_PATIENCE, list[int]()
        self._was_raised = False
        self._producer = threading.Thread(target=self._prepare, daemon=True)
        self._producer.start()

    def _prepare(self) -> None:
        """Put chunks into the queue, and at the end None or the error that ended it."""
        try:
            for chunk in self._chunks:
                if not self._put(chunk):
                    return
            self._put(None)
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that takes it)
            self._put(error)

    def _put(self, item: Chunk | BaseException | None) -> bool:
        while not self._stopping.is_set():
            with suppress(Full):
                self._prepared.put(item, timeout=POLL_SECONDS)
                return True
        return False

    def close(self) -> None:
        """Wait for the background thread to end."""
        self._producer.join()

    def take(self, *, wait: bool, probe: bool = False) -> Job | None:
        """Return the next job, or a random event of the largest as a `probe`.

        None means that no job is ready, with `wait` that all work is done.
        """
        while not self._stopping.is_set():
            with self._lock:
                job = self._next(probe=probe)
                self._in_progress += job is not None
                # A job in progress may come back in parts, so the end is only known once there is none.
                if job or not wait or (self._exhausted and not self._in_progress):
                    return job
            self._stopping.wait(POLL_SECONDS / 10)
        return None

    def _next(self, *, probe: bool) -> Job | None:
        if not self._returned and not self._load_prepared():
            return None
        return self._take_probe() if probe else self._fit(self._returned.popleft())

    def _load_prepared(self) -> bool:
        """Move a prepared chunk to the returned jobs; return whether there was one."""
        if self._exhausted or self._prepared.empty():
            return False
        item = self._prepared.get()
        if isinstance(item, BaseException):
            raise item
        if item is None:
            self._exhausted = True
            return False
        self._returned.append(Job(item))
        return True

    def _take_probe(self) -> Job:
        """Take a random event out of the largest returned job; the others keep their order."""
        # The largest job was not split yet, so it is the farthest from the events just refused.
        index = max(range(len(self._returned)), key=lambda n: self._returned[n].chunk.events)
        chunk = self._returned[index].chunk
        place = self._rng.randrange(chunk.events)
        before, probe, after = chunk.split(place, place + 1)
        del self._returned[index]
        for rest in (after, before):
            if rest.events:
                self._returned.insert(index, Job(rest))
        return Job(probe, probe=True)

    def _fit(self, job: Job) -> Job:
        """Cut a job down to the body size that the server accepts, as far as that is known."""
        first, *others = job.chunk.split_to_fit(self._max_bytes)
        if not others:
            return job
        # The rest stays in one piece: by the time it is sent, larger bodies may be tried again.
        self._returned.appendleft(Job(job.chunk.split(first.events)[1]))
        return Job(first, job.attempts, job.first_failed_at, job.probe)

    def finish(self, *replacements: Job) -> None:
        """End a job that was taken; `replacements` are sent next, in its place."""
        with self._lock:
            # In front of the queue: their outcome should be known before new events are sent.
            self._returned.extendleft(reversed(replacements))
            self._in_progress -= 1

    def limit_body(self, refused_bytes: int) -> None:
        """Send bodies of at most half the size that the server refused as too large."""
        with self._lock:
            self._max_bytes = min(self._max_bytes, (refused_bytes + 1) // 2)
            self._sizes.append(self._max_bytes)
            # A refusal of a size that was tried again shows that the limit is a lasting one.
            self._patience *= 2 if self._was_raised else 1
            self._confirmed, self._was_raised = 0, False

    def record_confirmed(self) -> None:
        """Count a confirmed request; after some of them, allow bodies of twice the size again.

        A refusal may concern one moment or one event only. Each refusal of the larger size doubles the wait.
        """
        with self._lock:
            self._confirmed += 1
            if self._sizes and self._confirmed >= self._patience:
                self._max_bytes, self._confirmed, self._was_raised = self._max_bytes * 2, 0, True
                self._sizes.append(self._max_bytes)

    def size_notes(self) -> list[str]:
        """Return a note if the server refused bodies as too large."""
        if not self._sizes:
            return []
        least, last = min(self._sizes), self._sizes[-1]
        grown = f", and raised again to {last:,}" if last > least else ""
        return [f"the server refused requests as too large (413): the size was cut to {least:,} bytes{grown}"]
