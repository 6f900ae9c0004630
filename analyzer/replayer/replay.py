"""A replay: compares a selection with the journal, plans or sends it, and accounts for every event afterwards."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from itertools import chain, product
from pathlib import Path
from typing import TYPE_CHECKING

from analyzer.errors import AccountingError, JournalError, Message, Option, UsageError
from analyzer.replayer.chunk import BRACKETS_BYTES
from analyzer.replayer.dead_letters import DeadLetters, dead_letters_path
from analyzer.replayer.journal import DEAD_LETTERED, Journal
from analyzer.replayer.outcome import TIMED_OUT, Kind, remedy_for
from analyzer.replayer.outcome_handling import Clock, Counts, Stop, Stopped
from analyzer.replayer.pending import UNCLEAR_TEAM, PendingEvents, ReplayRequest, StateCounts
from analyzer.replayer.sender import DeadLetterWriter, Route, Sender
from analyzer.replayer.teams import TeamName

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from analyzer.replayer.settings import Server
    from analyzer.replayer.transport import Transport

# DuckDB runs beside the sender's threads; what does not fit into this it spills to disk.
SET_MEMORY_LIMIT = "SET memory_limit = '250MB'"

COUNT_SOURCES = """
SELECT (SELECT count(*) FROM store.event), (SELECT count(*) FROM store.run),
       (SELECT count(*) FROM store.run WHERE id NOT IN (SELECT run_id FROM store.match))
"""

UNAVAILABLE = (502, 503, 504)
"""The statuses of a proxy or server behind which nothing can take events."""

UNSUPPORTED = (404, 405, 410)
"""The statuses of a server that does not implement the preflight."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be sent: counts, bytes of all bodies, and the times of the events (naive UTC).

    `contexts` counts the combinations of team, CI and interactive flag that no request mixes.
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
    """The states of a selection's events after a run, earlier runs included, and what this run did.

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


@dataclass(frozen=True, slots=True)
class RunResult:
    """The account of a run, why it stopped early, and the first event that the server refused, with its answer."""

    account: Account
    stopped: Stopped | None
    refused: str
    dead_letters: Path


class Replay:
    """A selection of events, and what a journal knows about them at one server.

    Raises:
        UsageError: the log holds run summaries and no events.
    """

    def __init__(
        self, connection: "DuckDBPyConnection", request: ReplayRequest, api: str, journal: Journal | None = None
    ) -> None:
        connection.execute(SET_MEMORY_LIMIT)
        events, runs, self._unmatched_runs = connection.execute(COUNT_SOURCES).fetchall()[0]
        if runs and not events:
            problem = (
                "the input holds run summaries only; replay sends events that clients reported, and there are none"
            )
            raise UsageError(problem)
        self.api, self.options, self._journal = api, request.options, journal
        self.pending = PendingEvents(connection, request, journal.destinations(api) if journal else ())
        self._destinations: dict[TeamName, int] = {}
        self._teams: dict[int, str] = {}
        if journal:
            self._load_journal(journal)
        self.states_by_team = self.pending.match_journal()
        if journal and self.options.resend and self.options.execute:
            journal.allow_resend(self._teams)
        self._recorded_before = self._recorded(journal) if journal else {}

    def _load_journal(self, journal: Journal) -> None:
        """Load the journal's events of the selected teams, by all names that these teams have."""
        names, team_of = self.pending.selected_names(), self.pending.team_of
        teams = set(map(team_of, names))
        found = journal.destinations(self.api, names if self.options.execute else ())
        self._destinations = {name: one for name, one in found.items() if team_of(name) in teams}
        self._teams = {destination_id: team_of(name) for name, destination_id in self._destinations.items()}
        sure = ((team, *states) for one, team in self._teams.items() for states in journal.states(one))
        unclear = [] if self.options.resend else list(self._unclear_states(journal, names, found))
        is_distinct = len(self._teams) == len(set(self._teams.values())) and not unclear
        self.pending.load_journal(chain(sure, unclear), distinct=is_distinct)

    def _unclear_states(
        self, journal: Journal, names: Sequence[TeamName], destinations: Mapping[TeamName, int]
    ) -> Iterator[tuple[str, str, bytes]]:
        """Yield the journal's events of other teams whose names may mean one of the selected teams."""
        for name, (other, destination_id) in product(names, destinations.items()):
            if self.pending.names.may_be_same(name, other):
                for state, digests in journal.states(destination_id):
                    if state != DEAD_LETTERED:
                        yield self.pending.team_of(name), UNCLEAR_TEAM, digests

    @property
    def states(self) -> StateCounts:
        """The selected events of all teams by state, before the run."""
        teams = self.states_by_team.values()
        return StateCounts(*(sum(getattr(one, state.name) for one in teams) for state in fields(StateCounts)))

    def notes(self) -> list[str]:
        """Return what is not sent and why, and how many events go to the token's own account."""
        events = "events that clients reported"
        summaries = f"{self._unmatched_runs:,} run summaries match no session and are not sent: replay sends {events}"
        notes = [summaries] if self._unmatched_runs else []
        if not self.states_by_team and not self.pending.arrived_events:
            return [*notes, "no event is selected"]
        if "" in self.states_by_team and self.states_by_team[""].unsent:
            nameless = f"{self.states_by_team[''].unsent:,} events name no team and go to the token's own account; "
            notes.append(Message(nameless, Option("slug"), " names a team"))
        if self.pending.arrived_events:
            arrived = f"{self.pending.arrived_events:,} events of failed requests arrived with another request"
            notes.append(f"{arrived} and are not sent")
        return [*notes, *self.unclear_team_notes()]

    def unclear_team_notes(self) -> list[str]:
        """Return the note on events that are held because their team is unclear."""
        if not self.pending.unclear_events:
            return []
        sent = f"{self.pending.unclear_events:,} events were sent by a slug that two team ids have"
        resend = (Option("on_uncertain", "resend"), " sends them, and all other uncertain events")
        return [Message(f"{sent}, perhaps to this team, and are not sent again: ", *resend)]

    def events_outside_selection(self) -> int:
        """Return how many events the journal has at this server that are not in the selection."""
        if not self._journal:
            return 0
        counts, states = self._journal.counts(), self.states
        others = [one for one in self._journal.destinations(self.api).values() if one not in self._teams]
        matched = states.confirmed + states.dead_lettered + states.uncertain - self.pending.unclear_events
        return self.pending.journal_events - matched + sum(sum(counts.get(one, ())) for one in others)

    def plan(self) -> Plan:
        """Return what would be sent."""
        pending, options, sizes = self.pending, self.options, self.pending.sizes()
        teams = [pending.team_of(context.team_name) for context in pending.contexts]
        requests = dict.fromkeys(self.states_by_team, 0)
        # Exact chunk sizes need the size of every event; they matter only where a full chunk may exceed the limit.
        largest = max((one.max_bytes for one in sizes.values()), default=0)
        if options.chunk_size * (largest + 1) + BRACKETS_BYTES <= options.max_bytes:
            for context_index, one in sizes.items():
                requests[teams[context_index]] += -(-one.events // options.chunk_size)
        else:
            for context_index, _ in pending.chunk_sizes():
                requests[teams[context_index]] += 1
        first_at, last_at, sessions = pending.span()
        chunks = sum(requests.values())
        # A body of n events has two brackets and n - 1 commas.
        size_bytes = sum(one.total_bytes + one.events for one in sizes.values()) + chunks
        events = sum(one.events for one in sizes.values())
        return Plan(events, sessions, len(sizes), chunks, size_bytes, first_at, last_at, requests)

    def preflight(self, transport: "Transport") -> Stopped | None:
        """Ask the server, for the first team, whether it takes events; return why not.

        A server that cannot tell is no reason to stop, but one that is down is: all events would be uncertain.
        """
        context = next(c for c in self.pending.contexts if self.pending.team_of(c.team_name) in self.states_by_team)
        outcome = transport.preflight(context)
        if outcome.kind is Kind.CONFIRMED and outcome.message in ("disabled", "over_limit", "paused"):
            team = context.slug or context.team_id or "this server"
            return Stopped(Stop.FORBIDDEN, f"remote caching of {team} is {outcome.message}")
        if outcome.kind is Kind.FORBIDDEN and outcome.status not in UNSUPPORTED:
            return Stopped(Stop.FORBIDDEN, Message(str(outcome), ": ", remedy_for(outcome)))
        if outcome.status in UNAVAILABLE or outcome.code == TIMED_OUT:
            return Stopped(Stop.OUTAGE, f"the preflight failed: {outcome}; check the server, then run this again")
        return None

    def sender(
        self, journal: Journal, transport: "Transport", write_dead_letter: DeadLetterWriter, clock: Clock | None = None
    ) -> Sender:
        """Return the sender for the unsent events."""
        return Sender(Route(transport, journal, self._destinations, write_dead_letter), self.options, clock)

    def account(self, counts: Counts | None, seconds: float = 0.0) -> Account:
        """Return the account of the selection after a run, or without one if `counts` is None."""
        before, now = self.states, counts or Counts()
        # Resent events leave the uncertain ones, so `now.uncertain` may be negative.
        done = now.confirmed + now.dead_lettered + now.uncertain
        return Account(
            executed=counts is not None,
            selected=before.selected,
            confirmed=before.confirmed + now.confirmed,
            dead_lettered=before.dead_lettered + now.dead_lettered,
            uncertain=before.uncertain + now.uncertain,
            unsent=before.unsent - done,
            confirmed_now=now.confirmed,
            repeats_dropped=self.pending.kept_events - before.selected,
            requests=now.requests,
            retries=now.retries,
            bytes=now.bytes,
            seconds=seconds,
        )

    def close(self, journal: Journal, counts: Counts, last_error: str | None = None) -> None:
        """Check a run's counts against the journal, and record there what is left unsent and the last error.

        Raises:
            AccountingError: the journal holds other numbers than the run counted.
        """
        if self.recount(journal, counts) != counts:
            raise AccountingError(f"the journal disagrees with the run's counts, which is a bug in analyzer: {counts}")
        added = self._recorded_now(journal)
        left = {team: states.unsent - sum(added[team]) for team, states in self.states_by_team.items()}
        # A team with several names has several destinations: the first of them records what is left.
        unsent = {destination_id: left.pop(team, None) for destination_id, team in self._teams.items()}
        journal.record_unsent({one: events for one, events in unsent.items() if events is not None}, last_error)
        journal.record_unsent({one: 0 for one, events in unsent.items() if events is None}, None)

    def recount(self, journal: Journal, counts: Counts) -> Counts:
        """Return a run's counts with the states from the journal; `counts` itself if it cannot be read."""
        try:
            added = self._recorded_now(journal).values()
        except JournalError:
            return counts
        confirmed, dead_lettered, uncertain = (sum(events[index] for events in added) for index in range(3))
        return replace(counts, confirmed=confirmed, dead_lettered=dead_lettered, uncertain=uncertain)

    def _recorded_now(self, journal: Journal) -> dict[str, list[int]]:
        """Return what a run has added to the journal, as `_recorded` does."""
        after = self._recorded(journal)
        return {team: [b - a for a, b in zip(self._recorded_before[team], after[team], strict=True)] for team in after}

    def _recorded(self, journal: Journal) -> dict[str, list[int]]:
        """Return the events in the journal, confirmed, dead-lettered and uncertain, by team."""
        recorded = {team: [0, 0, 0] for team in self._teams.values()}
        for destination_id, counts in journal.counts().items():
            team = self._teams.get(destination_id)
            if team is not None:
                recorded[team] = [a + b for a, b in zip(recorded[team], counts, strict=True)]
        return recorded


def execute(
    replay: Replay,
    journal: Journal,
    server: "Server",
    dead_letters: Path | None,
    follow: Callable[[Iterator[Counts], Replay, Sender], None],
) -> RunResult:
    """Send the unsent events; `follow` iterates over the run's counts to its end.

    Dead letters go beside the journal by default.

    Raises:
        UsageError: the file of dead letters cannot be written.
        AccountingError: the journal holds other numbers than the run counted.
    """
    from analyzer.replayer.transport import Transport  # noqa: PLC0415  (loads httpx, which a plan does not need)

    replay.pending.sizes()  # refuses events that are too large before anything is sent
    began, options, is_journal_sound = time.monotonic(), replay.options, True
    path = dead_letters_path(journal.path, dead_letters)
    with DeadLetters(path) as letters, Transport(server) as transport:
        sender = replay.sender(journal, transport, letters.write)
        outcomes = sender.outcomes
        has_work = replay.states.unsent or (options.resend and replay.states.uncertain)
        refusal = replay.preflight(transport) if options.preflight and has_work else None
        if refusal:
            outcomes.stop(refusal.stop, refusal.message)
        else:
            try:
                follow(sender.run(replay.pending.chunks()), replay, sender)
            except (JournalError, OSError) as error:
                is_journal_sound = False
                problem = error.message if isinstance(error, JournalError) else error.strerror or str(error)
                outcomes.stop(Stop.FAILED, Message(problem, "; events whose requests were in progress are uncertain"))
    counts = outcomes.counts
    if is_journal_sound:
        replay.close(journal, counts, outcomes.last_error)
    else:
        counts = replay.recount(journal, counts)
    account = replay.account(counts, time.monotonic() - began)
    return RunResult(account, outcomes.stopped, letters.first, path)
