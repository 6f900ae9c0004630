"""Sends chunks from several threads until none is left or something stops the run.

The journal always knows which events the server may have recorded: each chunk is recorded before its request, and its
outcome after it, at the latest before the thread waits or events are sent again.
"""

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from analyzer.errors import Message, Option
from analyzer.replayer.chunk import Chunk, count_digests
from analyzer.replayer.journal import FinishedChunk, Journal
from analyzer.replayer.options import ReplayOptions
from analyzer.replayer.outcome import Clock, Counts, Kind, Outcome, OutcomeHandler, StopReason
from analyzer.replayer.scheduling import Job, RateLimiter, WorkQueue
from analyzer.replayer.teams import TeamName

if TYPE_CHECKING:
    from analyzer.replayer.transport import Transport

MAX_WAIT_SECONDS = 3600.0

DeadLetterWriter = Callable[[Chunk, Outcome], None]  # writes the one event of a refused chunk into a file


class Sender:
    """One run: its threads and what they share. `destinations` are the journal's ids by team name."""

    def __init__(
        self, journal: Journal, transport: "Transport", destinations: Mapping[TeamName, int],
        write_dead_letter: DeadLetterWriter, options: ReplayOptions, clock: Clock | None = None,
    ) -> None:  # fmt: skip
        self._journal, self._transport, self._destinations = journal, transport, destinations
        self._write_dead_letter, self._options, self._clock = write_dead_letter, options, clock or Clock()
        self._rate_limiter = RateLimiter(options.requests_per_minute, self._clock.now)
        self.outcomes = OutcomeHandler(options, self._rate_limiter, self._clock)
        self._stopping = self.outcomes.stopping
        self._end = self._clock.now() + (math.inf if options.max_duration is None else options.max_duration)
        self._failure: BaseException | None = None

    def run(self, chunks: Iterator[Chunk], tick_seconds: float = 0.2) -> Iterator[Counts]:
        """Send `chunks`, yielding the counts of the run about every `tick_seconds`."""
        self._queue = WorkQueue(chunks, self._stopping, self._clock.rng)
        threads = [threading.Thread(target=self._run_thread, daemon=True) for _ in range(self._options.concurrency)]
        for thread in threads:
            thread.start()
        try:
            while alive := [thread for thread in threads if thread.is_alive()]:
                alive[0].join(tick_seconds)
                yield self.outcomes.counts
        finally:
            # Also on Ctrl-C, which is raised here: requests in progress end, and none begins.
            self._stopping.set()
            for thread in threads:
                thread.join()
            self._queue.close()
        if self._failure:
            raise self._failure
        self._record_dead_letters(self.outcomes.take_dead_letters(at_the_end=True))

    def notes(self) -> list[str]:
        """Return what to know about the run beside its outcomes."""
        return self._queue.size_notes()

    def _run_thread(self) -> None:
        # Outcomes wait here to share a transaction with the next chunk's start: that halves the disk flushes.
        unrecorded: list[FinishedChunk] = []
        try:
            while job := self._next_job(unrecorded):
                self._process(job, unrecorded)
        except BaseException as error:  # noqa: BLE001  (raised again by run)
            # The first error is the cause; others may follow from it.
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
        ids = self._journal.record_chunks(unrecorded, started) if unrecorded or started else []
        unrecorded.clear()
        return ids

    def _process(self, job: Job, unrecorded: list[FinishedChunk]) -> None:
        """Send a job when it is due, and return to the queue what is to be sent in its place."""
        replacements = [job]
        try:
            start = self._rate_limiter.reserve()
            if start > self._clock.now():
                self._record(unrecorded)
            if self._wait_until(start) and self.outcomes.begin_request():
                replacements = self._send(job, unrecorded)
        finally:
            self._queue.finish(*replacements)
        if self._stopping.is_set():
            self._record(unrecorded)

    def _send(self, job: Job, unrecorded: list[FinishedChunk]) -> list[Job]:
        """Send a job, recorded before and after; return the jobs to send in its place."""
        chunk, destination_id = job.chunk, self._destinations[job.chunk.context.team_name]
        before = self._journal.resendable(destination_id, chunk.digests)
        (chunk_id,) = self._record(unrecorded, [(destination_id, chunk.digests)])
        size_bytes = len(chunk.body())
        self.outcomes.add(uncertain=-count_digests(before), retries=job.attempts > 0, bytes=size_bytes)
        outcome = self._transport.send(chunk)
        if outcome.kind is Kind.TOO_BIG and chunk.events > 1:
            self._queue.limit_body(size_bytes)
        if outcome.kind is Kind.CONFIRMED:
            self._queue.record_confirmed()
        if outcome.kind not in (Kind.CONFIRMED, Kind.AMBIGUOUS):
            # The server did not record these events. The journal must say so before another thread may send them again.
            message = f"uncertain by an earlier request; resent: {outcome}"
            self._record([FinishedChunk(chunk_id, None, None, message, before)])
            self.outcomes.add(uncertain=count_digests(before))
        state, replacements = self.outcomes.handle(job, outcome)
        if state:
            unrecorded.append(FinishedChunk(chunk_id, state, outcome.status, outcome.message))
        dead_letters = self.outcomes.take_dead_letters()
        # The journal must have the outcome before the events of this request go out again.
        if replacements or dead_letters:
            self._record(unrecorded)
        self._record_dead_letters(dead_letters)
        return replacements

    def _record_dead_letters(self, dead_letters: Sequence[tuple[Job, Outcome]]) -> None:
        """Record dead letters, each in its file first: an event that only the journal knows could not be repaired."""
        for job, outcome in dead_letters:
            digests, destination_id = job.chunk.digests, self._destinations[job.chunk.context.team_name]
            self._write_dead_letter(job.chunk, outcome)
            before = self._journal.resendable(destination_id, digests)
            self.outcomes.add(dead_lettered=1, uncertain=-count_digests(before))
            self._journal.record_dead_letter(destination_id, digests, outcome.status, outcome.message)

    def _wait_until(self, start: float) -> bool:
        """Wait for the start; return False if the run stops before, as it does at its maximum duration."""
        while (now := self._clock.now()) < min(self._end, until := max(start, self._rate_limiter.paused_until)):
            # In steps, because a server may ask for a wait longer than Event.wait accepts.
            if self._stopping.wait(min(until - now, self._end - now, MAX_WAIT_SECONDS)):
                return False
        if now >= self._end:
            limit = self._options.max_duration
            reached = Message(Option("max_duration"), f" reached after {limit:g} s; run this again to go on")
            self.outcomes.stop(StopReason.LIMIT, reached)
        return not self._stopping.is_set()
