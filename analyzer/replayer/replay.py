"""One run that sends: from the first request to an account that the journal bears out."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, product
from pathlib import Path
from typing import TYPE_CHECKING

from analyzer.errors import AccountingError, JournalError, Message, Option
from analyzer.replayer.chunk import AROUND_BYTES
from analyzer.replayer.dead_letters import DeadLetters, dead_letters_path
from analyzer.replayer.journal import DEAD, Journal
from analyzer.replayer.options import Policy, Stop, Stopped
from analyzer.replayer.outcome import TIMED_OUT, Kind, remedy_of
from analyzer.replayer.outcome_handling import Clock, Counts, describe_outcome
from analyzer.replayer.pending import UNSURE, PendingEvents, ReplayRequest, StateCounts
from analyzer.replayer.sender import DeadLetter, Route, Sender
from analyzer.replayer.teams import TeamName
from analyzer.replayer.transport import Server, Transport

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be sent: counts, bytes of all bodies, and times of the events (naive UTC).

    `contexts` are the teams, CIs and interactive flags that no request mixes.
    """

    events: int
    sessions: int
    contexts: int
    requests: int
    bytes: int
    first_at: datetime | None
    last_at: datetime | None
    requests_by_team: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Account:
    """Where the events of a selection stand, earlier runs included, and what this run did.

    Raises:
        AccountingError: selected is not confirmed + dead-lettered + uncertain + unsent.
    """

    executed: bool
    selected: int
    confirmed: int
    dead_lettered: int
    uncertain: int
    unsent: int
    confirmed_now: int
    repeats_dropped: int
    requests: int
    retries: int
    bytes: int
    seconds: float

    def __post_init__(self) -> None:
        if self.selected != self.confirmed + self.dead_lettered + self.uncertain + self.unsent or self.unsent < 0:
            raise AccountingError(f"the counts of the replay do not add up, which is a bug in analyzer: {self}")


DOWN = (502, 503, 504)
"""What a proxy answers, or a server, where there is nobody who could take events."""


LESS_MEMORY = "SET memory_limit = '250MB'"
"""DuckDB works beside the sender, and spills."""


class Replay:
    """A selection, and what a journal knows of it at one server."""

    def __init__(
        self, connection: "DuckDBPyConnection", wanted: ReplayRequest, api: str, journal: Journal | None = None
    ) -> None:
        connection.execute(LESS_MEMORY)
        self.queue, self.api = PendingEvents(connection, wanted, journal.destinations(api) if journal else ()), api
        self._journal = journal
        self.tallies: dict[str, StateCounts] = {}
        self._destinations: dict[TeamName, int] = {}
        self.resend = False
        self._teams: dict[int, str] = {}
        self._before: dict[str, list[int]] = {}

    def consult(self, *, execute: bool = False, resend: bool = False) -> None:
        """Find out what the journal knows of each event; with `resend`, send uncertain ones again."""
        if self._journal:
            self._look_up(self._journal, execute=execute, resend=resend)
        self.tallies, self.resend = self.queue.mark(resend=resend), resend
        if self._journal and resend and execute:
            self._journal.allow_resend(self._teams)
        self._before = self._held(self._journal) if self._journal else {}

    def _look_up(self, journal: Journal, *, execute: bool, resend: bool) -> None:
        names, team_of = self.queue.selected_names(), self.queue.team_of
        teams = set(map(team_of, names))
        found = journal.destinations(self.api, names if execute else ())
        self._destinations = {named: number for named, number in found.items() if team_of(named) in teams}
        self._teams = {number: team_of(named) for named, number in self._destinations.items()}
        sure = ((team, *one) for number, team in self._teams.items() for one in journal.known(number))
        perhaps = [] if resend else list(self._perhaps(journal, names, found))
        once = len(self._teams) == len(set(self._teams.values())) and not perhaps
        self.queue.know(chain(sure, perhaps), once=once)

    def _perhaps(
        self, journal: Journal, names: Sequence[TeamName], found: Mapping[TeamName, int]
    ) -> Iterator[tuple[str, str, bytes]]:
        """Yield what went to names that may be of the teams."""
        for one, (other, number) in product(names, found.items()):
            if self.queue.names.may_be(one, other):
                digests = (digests for state, digests in journal.known(number) if state != DEAD)
                yield from ((self.queue.team_of(one), UNSURE, each) for each in digests)

    @property
    def tally(self) -> StateCounts:
        """The events of all teams by what is known of them."""
        tallies = self.tallies.values()
        return StateCounts(
            sum(one.confirmed for one in tallies),
            sum(one.dead_lettered for one in tallies),
            sum(one.uncertain for one in tallies),
            sum(one.unsent for one in tallies),
        )

    def said(self) -> list[str]:
        """Say what is not sent or has no team, and why."""
        if not self.tallies and not self.queue.arrived:
            return ["no event is selected"]
        count = self.tallies[""].unsent if "" in self.tallies else 0
        nameless = f"{count:,} events name no team and go to the token's own account; "
        arrived = f"{self.queue.arrived:,} events of failed requests arrived with another request, and are not sent"
        return [
            *([Message(nameless, Option("slug"), " names one")] if count else []),
            *([arrived] if self.queue.arrived else []),
            *self.unsure(),
        ]

    def unsure(self) -> list[str]:
        """Say what was or may have been sent by another name."""
        unsure = Message(
            f"{self.queue.unsure:,} events were sent by a slug alone that two team ids have, perhaps to this team, and"
            " are held: ",
            Option("on_uncertain", "resend"),
            " sends them, and all else that is uncertain",
        )
        return [*([unsure] if self.queue.unsure else []), *self.queue.made.said()]

    def elsewhere(self) -> int:
        """Return how many events the journal has at this server that the selection does not give."""
        if not self._journal:
            return 0
        counts, tally, queue = self._journal.counts(), self.tally, self.queue
        others = [number for number in self._journal.destinations(self.api).values() if number not in self._teams]
        named_otherwise = queue.unsure + queue.made.confirmed + queue.made.uncertain
        given = tally.confirmed + tally.dead_lettered + tally.uncertain - named_otherwise
        known: int = queue.known
        return known - given + sum(sum(counts.get(number, ())) for number in others)

    def plan(self) -> Plan:
        """Work out what would be sent."""
        queue, wanted = self.queue, self.queue.wanted
        lengths = queue.lengths()
        largest = max((most for _, _, most in lengths.values()), default=0)
        requests = dict.fromkeys(self.tallies, 0)
        size_bytes = sum(size + events for events, size, _ in lengths.values())
        if wanted.chunk_events * (largest + 1) + AROUND_BYTES <= wanted.max_bytes:
            for target, (events, _, _) in lengths.items():
                requests[queue.team_of(queue.contexts[target].named)] += -(-events // wanted.chunk_events)
        else:
            for target, _ in queue.chunk_sizes():
                requests[queue.team_of(queue.contexts[target].named)] += 1
        first_at, last_at, sessions = queue.span()
        chunks = sum(requests.values())
        # A body has brackets, and a comma less than items.
        return Plan(
            sum(events for events, _, _ in lengths.values()),
            sessions,
            len(lengths),
            chunks,
            size_bytes + chunks,
            first_at,
            last_at,
            requests,
        )

    def preflight(self, transport: Transport) -> Stopped | None:
        """Ask the server, for the first team, whether it takes events; that it cannot say is no reason to stop.

        That it is down is one: whatever is sent to it then would be uncertain.
        """
        context = next(c for c in self.queue.contexts if self.queue.team_of(c.named) in self.tallies)
        outcome = transport.preflight(context)
        if outcome.kind is Kind.CONFIRMED and outcome.words in ("disabled", "over_limit", "paused"):
            return Stopped(
                Stop.FORBIDDEN,
                f"remote caching of {context.slug or context.team_id or 'this server'} is {outcome.words}",
            )
        if outcome.kind is Kind.FORBIDDEN and outcome.status not in (404, 405, 410):
            return Stopped(Stop.FORBIDDEN, Message(describe_outcome(outcome), ": ", remedy_of(outcome)))
        if outcome.status in DOWN or outcome.code == TIMED_OUT:
            what = describe_outcome(outcome)
            words = f"asked whether remote caching is on: {what}; see that the server is well, then run this again"
            return Stopped(Stop.OUTAGE, words)
        return None

    def sender(
        self,
        transport: Transport,
        journal: Journal,
        policy: Policy,
        dead_letter: DeadLetter,
        clock: Clock | None = None,
    ) -> Sender:
        """Return what sends the unsent events."""
        return Sender(Route(transport, journal, self._destinations, dead_letter), policy, clock)

    def run(self, sender: Sender) -> Iterator[Counts]:
        """Send the unsent events, yielding what was done now and then."""
        return sender.run(self.queue.chunks())

    def account(self, counts: Counts | None, seconds: float = 0.0) -> Account:
        """Return where the selection stands after a run, or without one."""
        before, now = self.tally, counts or Counts()
        # What is sent again of the uncertain makes `now.uncertain` less than nothing.
        done = now.confirmed + now.dead_lettered + now.uncertain
        return Account(
            executed=counts is not None,
            selected=before.selected,
            confirmed=before.confirmed + now.confirmed,
            dead_lettered=before.dead_lettered + now.dead_lettered,
            uncertain=before.uncertain + now.uncertain,
            unsent=before.unsent - done,
            confirmed_now=now.confirmed,
            repeats_dropped=self.queue.kept - before.selected,
            requests=now.requests,
            retries=now.retries,
            bytes=now.bytes,
            seconds=seconds,
        )

    def close(self, journal: Journal, counts: Counts, last_error: str | None = None) -> None:
        """Check a run's counts against the journal, and note there what is left unsent, and its last error.

        Raises:
            AccountingError: the journal holds other numbers than were counted.
        """
        now = self._since(journal)
        if self.counted(journal, counts) != counts:
            raise AccountingError(f"the journal does not hold what was counted, which is a bug in analyzer: {counts}")
        left = {team: tally.unsent - sum(now[team]) for team, tally in self.tallies.items()}
        numbers = {number: left.pop(team, None) for number, team in self._teams.items()}
        journal.record_unsent({number: count for number, count in numbers.items() if count is not None}, last_error)
        journal.record_unsent({number: 0 for number, count in numbers.items() if count is None}, None)

    def counted(self, journal: Journal, counts: Counts) -> Counts:
        """Return a run's counts as the journal has them; as they are, where it cannot be read."""
        try:
            now = self._since(journal).values()
        except JournalError:
            return counts
        confirmed, dead_lettered, uncertain = (sum(one[place] for one in now) for place in range(3))
        return replace(counts, confirmed=confirmed, dead_lettered=dead_lettered, uncertain=uncertain)

    def _since(self, journal: Journal) -> dict[str, list[int]]:
        """Return what a run has added to what the journal holds, by team."""
        after = self._held(journal)
        return {team: [b - a for a, b in zip(self._before[team], after[team], strict=True)] for team in after}

    def _held(self, journal: Journal) -> dict[str, list[int]]:
        """Return the events that the journal holds, confirmed, dead-lettered and uncertain, by team."""
        found = {team: [0, 0, 0] for team in self._teams.values()}
        for number, counts in journal.counts().items():
            team = self._teams.get(number)
            if team is not None:
                found[team] = [a + b for a, b in zip(found[team], counts, strict=True)]
        return found


@dataclass(frozen=True, slots=True)
class Executed:
    """What a run came to: its account, why it ended before its time, and the first event that was refused."""

    account: Account
    stopped: Stopped | None
    refused: str
    dead_letters: Path


def execute(
    session: Replay,
    journal: Journal,
    policy: Policy,
    server: Server,
    dead_letters: Path | None,
    follow: Callable[[Replay, Sender], None],
) -> Executed:
    """Send what is unsent; `follow` drives the sender to its end. Dead letters go beside the journal by default.

    Raises:
        UsageError: the file of dead letters cannot be written.
        AccountingError: the journal holds other numbers than were counted.
    """
    session.queue.lengths()
    began, sound = time.monotonic(), True
    path = dead_letters_path(journal.path, dead_letters)
    with DeadLetters(path) as letters, Transport(server) as transport:
        sender = session.sender(transport, journal, policy, letters.put)
        wanted = policy.preflight and (session.tally.unsent or (session.resend and session.tally.uncertain))
        refused = session.preflight(transport) if wanted else None
        if refused:
            sender.settler.stop(refused.stop, refused.words)
        else:
            try:
                follow(session, sender)
            except (JournalError, OSError) as error:
                sound = False
                sender.settler.stop(Stop.FAILED, Message(_error_words(error), "; what was under way will be uncertain"))
    settler = sender.settler
    counts = settler.counts
    if sound:
        session.close(journal, counts, settler.last_error)
    else:
        counts = session.counted(journal, counts)
    account = session.account(counts, time.monotonic() - began)
    return Executed(account, settler.stopped, letters.first, path)


def _error_words(error: JournalError | OSError) -> str:
    return error.message if isinstance(error, JournalError) else error.strerror or str(error)
