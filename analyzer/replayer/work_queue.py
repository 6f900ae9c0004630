"""What is to be sent next: what came back first, then what is made ahead in a thread of its own."""

import random
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Full, Queue

from analyzer.replayer.chunk import Chunk

AHEAD_CHUNKS = 200
WAIT_SECONDS = 0.05


@dataclass(slots=True)
class Job:
    """A chunk on its way, and how often and since when it failed; a `probe` tries whether the server takes anything."""

    chunk: Chunk
    attempts: int = 0
    first_failed: float | None = None
    probe: bool = False


class WorkQueue:
    """Hands out jobs to several senders. Who takes one says later, with `back`, what is to be sent in its place."""

    def __init__(self, chunks: Iterator[Chunk], ending: threading.Event, draw: random.Random) -> None:
        self._chunks, self._ending, self._draw = chunks, ending, draw
        self._ahead: Queue[Chunk | BaseException | None] = Queue(AHEAD_CHUNKS)
        self._returned: deque[Job] = deque()
        self._lock = threading.Lock()
        self._busy = 0
        self._over = False
        self._budget: int | None = None
        self._maker = threading.Thread(target=self._make, daemon=True)
        self._maker.start()

    def _make(self) -> None:
        """Make chunks ahead, and at the end None, or what went wrong."""
        last: BaseException | None = None
        try:
            for chunk in self._chunks:
                if not self._offer(chunk):
                    break
        except BaseException as error:  # noqa: BLE001  (raised again where it is taken)
            last = error
        self._offer(last)

    def _offer(self, thing: Chunk | BaseException | None) -> bool:
        while not self._ending.is_set():
            with suppress(Full):
                self._ahead.put(thing, timeout=WAIT_SECONDS)
                return True
        return False

    def close(self) -> None:
        """Wait until nothing more is made."""
        self._maker.join()

    def take(self, *, wait: bool, probe: bool = False) -> Job | None:
        """Return the next job; None where none is ready, or with `wait` where there will be none.

        With `probe` it is one event from somewhere else.
        """
        while not self._ending.is_set():
            with self._lock:
                job = self._next(probe=probe)
                self._busy += job is not None
                if job or not wait or (self._over and not self._busy):
                    return job
            self._ending.wait(WAIT_SECONDS / 10)
        return None

    def _next(self, *, probe: bool) -> Job | None:
        if self._returned:
            return self._probe() if probe else self._within(self._returned.popleft())
        if self._over:
            return None
        try:
            thing = self._ahead.get_nowait()
        except Empty:
            return None
        if isinstance(thing, BaseException):
            raise thing
        self._over = thing is None
        if thing is None:
            return None
        if not probe:
            return self._within(Job(thing))
        self._returned.append(Job(thing))
        return self._probe()

    def _probe(self) -> Job:
        """Take one event, any, out of the largest job that came back; the others stay in their order."""
        place = max(range(len(self._returned)), key=lambda n: self._returned[n].chunk.events)
        job = self._returned[place]
        before, one, after = job.chunk.apart(self._draw.randrange(job.chunk.events))
        del self._returned[place]
        for chunk in reversed([chunk for chunk in (before, after) if chunk.events]):
            self._returned.insert(place, Job(chunk))
        return Job(one, probe=True)

    def _within(self, job: Job) -> Job:
        """Cut a job down to what the server has shown it takes."""
        if self._budget is None:
            return job
        first, *rest = job.chunk.within(self._budget)
        self._returned.extendleft(Job(one) for one in reversed(rest))
        return Job(first, job.attempts, job.first_failed, job.probe) if rest else job

    def back(self, *jobs: Job) -> None:
        """End a job that was taken; `jobs` are what is to be sent in its place, before everything else."""
        with self._lock:
            self._returned.extendleft(reversed(jobs))
            self._busy -= 1

    def too_big(self, size_bytes: int) -> None:
        """Remember that a body of this size was too big."""
        with self._lock:
            self._budget = min(self._budget or size_bytes, (size_bytes + 1) // 2)
