"""Sends chunks until none is left or something stops the run; the journal always knows what may have been taken.

Each sender takes a job, waits for its start, writes it down, sends it, and writes down what became of it: at once,
or together with what it sends next where that starts at once.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from analyzer.errors import Message, Option
from analyzer.replayer.chunk import DIGEST_BYTES, Chunk
from analyzer.replayer.journal import Ended, Journal
from analyzer.replayer.options import Policy, Stop
from analyzer.replayer.outcome import Kind, Outcome
from analyzer.replayer.outcome_handling import Clock, Counts, OutcomeHandler, describe_outcome
from analyzer.replayer.rate_limiter import RateLimiter
from analyzer.replayer.teams import TeamName
from analyzer.replayer.transport import Transport
from analyzer.replayer.work_queue import Job, WorkQueue

GO_ON = "; run this again to go on"
LONGEST_WAIT_SECONDS = 3600.0

DeadLetter = Callable[[Chunk, Outcome], None]
"""Keeps the one event of a chunk, which the server refused with this outcome."""


@dataclass(frozen=True, slots=True)
class Route:
    """What events pass on their way; `destinations` are the journal's numbers of teams, as they are named."""

    transport: Transport
    journal: Journal
    destinations: Mapping[TeamName, int]
    dead_letter: DeadLetter


class Sender:
    """One run: its senders and what they share."""

    def __init__(self, route: Route, policy: Policy, clock: Clock | None = None) -> None:
        self._route, self._policy, self._clock = route, policy, clock or Clock()
        self._pace = RateLimiter(policy.requests_per_minute, self._clock.now)
        self.settler = OutcomeHandler(policy, self._pace, self._clock)
        self._ending = self.settler.ending
        self._began = self._clock.now()
        self._failure: BaseException | None = None

    def run(self, chunks: Iterator[Chunk], tick_seconds: float = 0.2) -> Iterator[Counts]:
        """Send `chunks`, yielding what was done now and then.

        Raises:
            AnalyzerError: chunks cannot be made, or the journal cannot be written.
        """
        self._supply = WorkQueue(chunks, self._ending, self._clock.draw)
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self._policy.concurrency)]
        for thread in threads:
            thread.start()
        try:
            while alive := [thread for thread in threads if thread.is_alive()]:
                alive[0].join(tick_seconds)
                yield self.settler.counts
        finally:
            self._ending.set()
            for thread in threads:
                thread.join()
            self._supply.close()
        if self._failure:
            raise self._failure
        self._bury(self.settler.dead(at_the_end=True))

    def _work(self) -> None:
        ended: list[Ended] = []
        try:
            while True:
                job = self._supply.take(wait=False, probe=self.settler.probing)
                if not job:
                    ended = self._write_down(ended)
                    job = self._supply.take(wait=True, probe=self.settler.probing)
                if not job:
                    return
                ended = self._pass(job, ended)
        except BaseException as error:  # noqa: BLE001  (raised again by run)
            self._failure = self._failure or error
            self._ending.set()

    def _write_down(self, ended: list[Ended]) -> list[Ended]:
        if ended:
            self._route.journal.record_chunks(ended)
        return []

    def _pass(self, job: Job, ended: list[Ended]) -> list[Ended]:
        """Send a job at its time; return what is to be written down next."""
        back = [job]
        try:
            start = self._pace.reserve()
            if start > self._clock.now():
                ended = self._write_down(ended)
            if self._may_send(start):
                (number, doubt), ended = self._begin(job, ended), []
                outcome = self._route.transport.send(job.chunk)
                if outcome.kind is Kind.TOO_BIG and job.chunk.events > 1:
                    self._supply.too_big(len(job.chunk.body()))
                back, ended = self._end(job, number, outcome, doubt)
        finally:
            self._supply.back(*back)
        if self._ending.is_set():
            ended = self._write_down(ended)
        return ended

    def _end(self, job: Job, number: int, outcome: Outcome, doubt: bytes) -> tuple[list[Job], list[Ended]]:
        """Settle an outcome; return what is to be sent in the job's place, and what is to be written down.

        What may be sent again, by this sender or another, has its end written before.
        """
        ended: list[Ended] = []
        if outcome.kind not in (Kind.CONFIRMED, Kind.AMBIGUOUS):
            self._write_down(
                [Ended(number, None, None, f"in doubt before; sent again: {describe_outcome(outcome)}", doubt)]
            )
            self.settler.count(uncertain=len(doubt) // DIGEST_BYTES)
        state, back = self.settler.settle(job, outcome)
        if state:
            ended = [Ended(number, state, outcome.status, outcome.words)]
        dead = self.settler.dead()
        if back or dead:
            ended = self._write_down(ended)
        self._bury(dead)
        return back, ended

    def _bury(self, dead: Sequence[tuple[Job, Outcome]]) -> None:
        """Write down dead letters, each in its file and then in the journal."""
        for job, outcome in dead:
            self._route.dead_letter(job.chunk, outcome)
            destination = self._route.destinations[job.chunk.context.named]
            doubt = self._route.journal.resendable(destination, job.chunk.digests)
            self.settler.count(dead_lettered=1, uncertain=-len(doubt) // DIGEST_BYTES)
            self._route.journal.record_dead_letter(destination, job.chunk.digests, outcome.status, outcome.words)

    def _begin(self, job: Job, ended: list[Ended]) -> tuple[int, bytes]:
        """Write down that a job is under way, and what ended before; return its number, and what was in doubt."""
        destination = self._route.destinations[job.chunk.context.named]
        doubt = self._route.journal.resendable(destination, job.chunk.digests)
        (number,) = self._route.journal.record_chunks(ended, [(destination, job.chunk.digests)])
        size_bytes = len(job.chunk.body())
        self.settler.count(uncertain=-len(doubt) // DIGEST_BYTES, retries=job.attempts > 0, bytes=size_bytes)
        return number, doubt

    def _may_send(self, start: float) -> bool:
        """Wait for the start; False where the run ends before that, or has done all it may."""
        if not self._wait(start):
            return False
        most = self._policy.max_requests
        if self.settler.count_request(most):
            return True
        self.settler.stop(Stop.LIMIT, Message(Option("max_requests", most), f" reached{GO_ON}"))
        return False

    def _wait(self, start: float) -> bool:
        most = self._policy.max_seconds
        end = None if most is None else self._began + most
        while (now := self._clock.now()) < (until := max(start, self._pace.paused_until())) or (end and now >= end):
            if end and now >= end:
                self.settler.stop(Stop.LIMIT, Message(Option("max_duration"), f" reached after {most:g} s{GO_ON}"))
                return False
            if self._ending.wait(min(until - now, (end or until) - now, LONGEST_WAIT_SECONDS)):
                return False
        return not self._ending.is_set()
