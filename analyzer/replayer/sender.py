"""Sends chunks from several threads until none is left or something stops the run.

The journal always knows which events the server may have recorded: each chunk is recorded before its request, and its
outcome after it, at the latest before the thread waits or events are sent again.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyzer.errors import Message, Option
from analyzer.replayer.chunk import Chunk, count_digests
from analyzer.replayer.journal import FinishedChunk, Journal
from analyzer.replayer.options import ReplayOptions
from analyzer.replayer.outcome import Kind, Outcome
from analyzer.replayer.outcome_handling import Clock, Counts, OutcomeHandler, Stop
from analyzer.replayer.scheduling import Job, RateLimiter, WorkQueue
from analyzer.replayer.teams import TeamName

if TYPE_CHECKING:
    from analyzer.replayer.transport import Transport

MAX_WAIT_SECONDS = 3600.0

DeadLetterWriter = Callable[[Chunk, Outcome], None]
"""Writes the one event of a chunk, which the server refused with this outcome, into a file."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where events go; `destinations` are the journal's ids by team name."""

    transport: "Transport"
    journal: Journal
    destinations: Mapping[TeamName, int]
    write_dead_letter: DeadLetterWriter


class Sender:
    """One run: its threads and what they share."""

    def __init__(self, route: Route, options: ReplayOptions, clock: Clock | None = None) -> None:
        self._route, self._options, self._clock = route, options, clock or Clock()
        self._rate_limiter = RateLimiter(options.requests_per_minute, self._clock.now)
        self.outcomes = OutcomeHandler(options, self._rate_limiter, self._clock)
        self._stopping = self.outcomes.stopping
        self._began = self._clock.now()
        self._failure: BaseException | None = None

    def run(self, chunks: Iterator[Chunk], tick_seconds: float = 0.2) -> Iterator[Counts]:
        """Send `chunks`, yielding the counts of the run about every `tick_seconds`.

        Raises:
            AnalyzerError: chunks cannot be prepared, or the journal cannot be written.
        """
        self._queue = WorkQueue(chunks, self._stopping, self._clock.rng)
        threads = [threading.Thread(target=self._run_thread, daemon=True) for _ in range(self._options.concurrency)]
        for thread in threads:
            thread.start()
        try:
            while alive := [thread for thread in threads if thread.is_alive()]:
                alive[0].join(tick_seconds)
                yield self.outcomes.counts
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join()
            self._queue.close()
        if self._failure:
            raise self._failure
        self._record_dead_letters(self.outcomes.take_dead_letters(at_the_end=True))

    def _run_thread(self) -> None:
        # Outcomes wait here to share a transaction with the next chunk's start: that halves the disk flushes.
        unrecorded: list[FinishedChunk] = []
        try:
            while job := self._next_job(unrecorded):
                self._process(job, unrecorded)
        except BaseException as error:  # noqa: BLE001  (raised again by run)
            self._failure = self._failure or error
            self._stopping.set()

    def _next_job(self, unrecorded: list[FinishedChunk]) -> Job | None:
        job = self._queue.take(wait=False, probe=self.outcomes.probing)
        if not job:
            self._record(unrecorded)
            job = self._queue.take(wait=True, probe=self.outcomes.probing)
        return job

    def _record(self, unrecorded: list[FinishedChunk], started: Sequence[tuple[int, bytes]] = ()) -> list[int]:
        """Record outcomes and chunks about to be sent; return the ids of these."""
        ids = self._route.journal.record_chunks(unrecorded, started) if unrecorded or started else []
        unrecorded.clear()
        return ids

    def _process(self, job: Job, unrecorded: list[FinishedChunk]) -> None:
        """Send a job when it is due, and hand the queue what is to be sent in its place."""
        replacements = [job]
        try:
            start = self._rate_limiter.reserve()
            if start > self._clock.now():
                self._record(unrecorded)
            if self._may_send(start):
                replacements = self._send(job, unrecorded)
        finally:
            self._queue.finish(*replacements)
        if self._stopping.is_set():
            self._record(unrecorded)

    def _send(self, job: Job, unrecorded: list[FinishedChunk]) -> list[Job]:
        """Send a job, recorded before and after; return the jobs to send in its place."""
        chunk, destination_id = job.chunk, self._route.destinations[job.chunk.context.team_name]
        before = self._route.journal.resendable(destination_id, chunk.digests)
        (chunk_id,) = self._record(unrecorded, [(destination_id, chunk.digests)])
        size_bytes = len(chunk.body())
        self.outcomes.add(uncertain=-count_digests(before), retries=job.attempts > 0, bytes=size_bytes)
        outcome = self._route.transport.send(chunk)
        if outcome.kind is Kind.TOO_BIG and chunk.events > 1:
            self._queue.limit_body(size_bytes)
        if outcome.kind not in (Kind.CONFIRMED, Kind.AMBIGUOUS):
            # Not recorded by the server: free the events before another thread may send them again.
            message = f"uncertain by an earlier request; resent: {outcome}"
            self._record([FinishedChunk(chunk_id, None, None, message, before)])
            self.outcomes.add(uncertain=count_digests(before))
        state, replacements = self.outcomes.handle(job, outcome)
        if state:
            unrecorded.append(FinishedChunk(chunk_id, state, outcome.status, outcome.message))
        dead_letters = self.outcomes.take_dead_letters()
        if replacements or dead_letters:
            self._record(unrecorded)
        self._record_dead_letters(dead_letters)
        return replacements

    def _record_dead_letters(self, dead_letters: Sequence[tuple[Job, Outcome]]) -> None:
        """Record dead letters, each in its file first: an event that only the journal knows could not be repaired."""
        for job, outcome in dead_letters:
            self._route.write_dead_letter(job.chunk, outcome)
            destination_id = self._route.destinations[job.chunk.context.team_name]
            before = self._route.journal.resendable(destination_id, job.chunk.digests)
            self.outcomes.add(dead_lettered=1, uncertain=-count_digests(before))
            self._route.journal.record_dead_letter(destination_id, job.chunk.digests, outcome.status, outcome.message)

    def _may_send(self, start: float) -> bool:
        """Wait for the start and count the request; return False where the run stops or reaches a limit before."""
        if not self._wait_until(start):
            return False
        limit = self._options.max_requests
        if self.outcomes.add_request(limit):
            return True
        self.outcomes.stop(Stop.LIMIT, Message(Option("max_requests", limit), " reached; run this again to go on"))
        return False

    def _wait_until(self, start: float) -> bool:
        limit = self._options.max_duration
        end = None if limit is None else self._began + limit
        while (now := self._clock.now()) < (until := max(start, self._rate_limiter.paused_until())) or (
            end and now >= end
        ):
            if end and now >= end:
                reached = Message(Option("max_duration"), f" reached after {limit:g} s; run this again to go on")
                self.outcomes.stop(Stop.LIMIT, reached)
                return False
            # In steps, because a server may ask for a wait longer than Event.wait accepts.
            if self._stopping.wait(min(until - now, (end or until) - now, MAX_WAIT_SECONDS)):
                return False
        return not self._stopping.is_set()
