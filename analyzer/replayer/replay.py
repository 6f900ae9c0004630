"""Compares a selection with the journal, plans or sends it, and accounts for every event afterwards."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from itertools import chain, product
from pathlib import Path
from typing import TYPE_CHECKING

from analyzer.errors import AccountingError, JournalError, Message, Option, UsageError
from analyzer.readers.formats import DERIVED_FORMATS_SQL
from analyzer.replayer.dead_letters import DeadLetters, dead_letters_path
from analyzer.replayer.journal import DEAD_LETTERED, STATES, Journal
from analyzer.replayer.outcome import TIMED_OUT, Counts, Kind, Stopped, StopReason, remedy_for
from analyzer.replayer.pending import UNCLEAR_TEAM, PendingEvents, ReplayRequest, StateCounts
from analyzer.replayer.sender import Sender
from analyzer.replayer.settings import Server
from analyzer.replayer.teams import TeamName

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from analyzer.replayer.transport import Transport

# DuckDB runs beside the sender's threads; what does not fit into this it spills to disk.
SET_MEMORY_LIMIT = "SET memory_limit = '250MB'"

# No client reported the events that are derived from access logs, so they are never sent.
REPORTED_EVENTS = f"""
CREATE OR REPLACE TEMP VIEW event AS
FROM store.event WHERE file_id NOT IN (SELECT id FROM store.file WHERE format IN ({DERIVED_FORMATS_SQL}))
"""

COUNT_SOURCES = """
SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM store.event), (SELECT count(*) FROM store.run),
       (SELECT count(*) FROM store.run WHERE id NOT IN (SELECT run_id FROM store.match))
"""

UNAVAILABLE = (502, 503, 504)  # from a proxy or server behind which nothing can take events
UNSUPPORTED = (404, 405, 410)  # from a server that does not implement the preflight


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
    """The states of a selection's events after a run, earlier runs included, and what this run did."""

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


def require_events(connection: "DuckDBPyConnection") -> int:
    """Return how many run summaries match no session; raise UsageError if the log has other things but no events."""
    connection.execute(REPORTED_EVENTS)
    events, all_events, runs, unmatched_runs = connection.execute(COUNT_SOURCES).fetchall()[0]
    if (runs or all_events) and not events:
        problem = "replay sends events that clients reported, and there are none"
        raise UsageError(f"the input holds {'access logs' if all_events else 'run summaries'} only; {problem}")
    return int(unmatched_runs)


class Replay:
    """A selection of events, and their states in the journal for one server."""

    def __init__(self, connection: "DuckDBPyConnection", request: ReplayRequest, api: str, journal: Journal) -> None:
        connection.execute(SET_MEMORY_LIMIT)
        self._unmatched_runs = require_events(connection)
        self.api, self.options, self.journal = api, request.options, journal
        self.pending = PendingEvents(connection, request, journal.destinations(api))
        self._load_journal()
        self.states_by_team = self.pending.match_journal()
        if self.options.resend and self.options.execute:
            journal.allow_resend(self._teams)
        self._recorded_before = self._recorded()
        self.run_notes: list[str] = []

    def _load_journal(self) -> None:
        """Load the journal's events of the selected teams, by all names that these teams have."""
        names, team_of = self.pending.selected_names(), self.pending.team_of
        teams = set(map(team_of, names))
        destinations = self.journal.destinations(self.api, names if self.options.execute else ())
        self.destinations = {name: one for name, one in destinations.items() if team_of(name) in teams}
        self._teams = {destination_id: team_of(name) for name, destination_id in self.destinations.items()}
        clear = ((team, *states) for one, team in self._teams.items() for states in self.journal.states(one))
        unclear = () if self.options.resend else self._unclear_states(names, destinations)
        self.pending.load_journal(chain(clear, unclear))

    def _unclear_states(
        self, names: Sequence[TeamName], destinations: Mapping[TeamName, int]
    ) -> Iterator[tuple[str, str, bytes]]:
        """Yield the journal's events of other teams whose names may mean one of the selected teams."""
        for name, (other, destination_id) in product(names, destinations.items()):
            if self.pending.names.may_be_same(name, other):
                for state, digests in self.journal.states(destination_id):
                    if state != DEAD_LETTERED:
                        yield self.pending.team_of(name), UNCLEAR_TEAM, digests

    @property
    def states(self) -> StateCounts:
        """The selected events of all teams by state, before the run."""
        teams = self.states_by_team.values()
        return StateCounts(*(sum(getattr(team, state.name) for team in teams) for state in fields(StateCounts)))

    def notes(self) -> list[str]:
        """Return notes on events that are not sent, and on events that go to the token's own account."""
        notes: list[str] = []
        if self._unmatched_runs:
            summaries = f"{self._unmatched_runs:,} run summaries match no session and are not sent"
            notes.append(f"{summaries}: replay sends events that clients reported")
        if not self.states_by_team and not self.pending.arrived_events:
            return [*notes, "no event is selected"]
        if "" in self.states_by_team and self.states_by_team[""].unsent:
            nameless = f"{self.states_by_team[''].unsent:,} events name no team and go to the token's own account; "
            notes.append(Message(nameless, Option("slug"), " names a team"))
        if self.pending.arrived_events:
            arrived = f"{self.pending.arrived_events:,} events of failed requests arrived with another request"
            notes.append(f"{arrived} and are not sent")
        return [*notes, *self.unclear_team_notes(), *self.run_notes]

    def unclear_team_notes(self) -> list[str]:
        """Return the note on events that are uncertain because their team is unclear, if there are any."""
        if not self.pending.unclear_events:
            return []
        sent = f"{self.pending.unclear_events:,} events were sent under a slug that two team ids share"
        resend = (Option("on_uncertain", "resend"), " sends them, and all other uncertain events")
        return [Message(f"{sent}, perhaps to this team, and are not sent again: ", *resend)]

    def events_outside_selection(self) -> int:
        """Return how many events the journal has at this server that are not in the selection."""
        counts, states = self.journal.counts(), self.states
        others = [one for one in self.journal.destinations(self.api).values() if one not in self._teams]
        matched = states.confirmed + states.dead_lettered + states.uncertain - self.pending.unclear_events
        return self.pending.journal_events - matched + sum(sum(counts.get(one, {}).values()) for one in others)

    def plan(self) -> Plan:
        """Return what would be sent."""
        pending, sizes = self.pending, self.pending.sizes()
        requests = dict.fromkeys(self.states_by_team, 0)
        for context_index, chunks in pending.count_chunks(sizes).items():
            requests[pending.team_of(pending.contexts[context_index].team_name)] += chunks
        first_at, last_at, sessions = pending.span()
        events, chunks = sum(events for _, events, *_ in sizes), sum(requests.values())
        # A body of n events has two brackets and n - 1 commas.
        size_bytes = sum(text_bytes for *_, text_bytes, _ in sizes) + events + chunks
        return Plan(events, sessions, len(sizes), chunks, size_bytes, first_at, last_at, requests)

    def preflight(self, transport: "Transport") -> Stopped | None:
        """Ask the server, for the first team, whether it accepts events; return why the run must not start.

        A server that answers 502, 503 or 504, or does not answer in time, would make all events uncertain. One that
        cannot be reached does not stop the run: its requests are not sent, so they are safely tried again.
        """
        context = next(c for c in self.pending.contexts if self.pending.team_of(c.team_name) in self.states_by_team)
        outcome = transport.preflight(context)
        if outcome.kind is Kind.CONFIRMED and outcome.message in ("disabled", "over_limit", "paused"):
            team = context.slug or context.team_id or "this server"
            return Stopped(StopReason.FORBIDDEN, f"remote caching of {team} is {outcome.message}")
        if outcome.kind is Kind.FORBIDDEN and outcome.status not in UNSUPPORTED:
            return Stopped(StopReason.FORBIDDEN, Message(str(outcome), ": ", remedy_for(outcome)))
        if outcome.status in UNAVAILABLE or outcome.code == TIMED_OUT:
            return Stopped(StopReason.FAILED, f"the preflight failed: {outcome}; check the server, then run this again")
        return None

    def account(self, now: Counts, seconds: float = 0.0) -> Account:
        """Return the account of the selection after a run with these counts."""
        before = self.states
        # Resent events leave the uncertain ones, so `now.uncertain` may be negative.
        unsent = before.unsent - now.confirmed - now.dead_lettered - now.uncertain
        return Account(
            executed=self.options.execute, selected=before.selected, confirmed=before.confirmed + now.confirmed,
            dead_lettered=before.dead_lettered + now.dead_lettered, uncertain=before.uncertain + now.uncertain,
            unsent=unsent, confirmed_now=now.confirmed,
            repeats_dropped=self.pending.kept_events - before.selected, requests=now.requests, retries=now.retries,
            bytes=now.bytes, seconds=seconds,
        )  # fmt: skip

    def close(self, counts: Counts, last_error: str | None = None) -> None:
        """Check a run's counts against the journal, and record there what is left unsent and the last error."""
        if self.recount(counts) != counts:
            raise AccountingError(f"the journal disagrees with the run's counts, which is a bug in analyzer: {counts}")
        added = self._recorded_now()
        unsent = {team: states.unsent for team, states in self.states_by_team.items()}
        for (team, _), events in added.items():
            unsent[team] -= events
        # A team with several names has several destinations: the first of them records what is left.
        for destination_id, team in self._teams.items():
            error = last_error if team in unsent else None
            self.journal.record_unsent(destination_id, unsent.pop(team, 0), error)

    def recount(self, counts: Counts) -> Counts:
        """Return a run's counts with the states from the journal; `counts` itself if it cannot be read."""
        try:
            added = self._recorded_now()
        except JournalError:
            return counts
        states = {state: sum(events for (_, other), events in added.items() if other == state) for state in STATES}
        return replace(counts, **states)

    def _recorded_now(self) -> Counter[tuple[str, str]]:
        """Return what the run has added to the journal, as `_recorded` does."""
        added = self._recorded()
        added.subtract(self._recorded_before)
        return added

    def _recorded(self) -> Counter[tuple[str, str]]:
        """Return the number of events in the journal by team and state."""
        counts, recorded = self.journal.counts(), Counter[tuple[str, str]]()
        for destination_id, team in self._teams.items():
            recorded.update({(team, state): events for state, events in counts.get(destination_id, {}).items()})
        return recorded


def execute(
    replay: Replay, server: Server, dead_letters: Path | None, follow: Callable[..., object]
) -> tuple[Account, Stopped | None, DeadLetters]:
    """Send the unsent events; return the account, why the run stopped early, and the file of dead letters.

    `follow(counts, replay, sender)` iterates over the counts to the end of the run.
    """
    from analyzer.replayer.transport import Transport  # noqa: PLC0415  (loads httpx, which a plan does not need)

    replay.pending.sizes()  # refuses events that are too large before anything is sent
    began, options, is_journal_sound = time.monotonic(), replay.options, True
    with DeadLetters(dead_letters_path(replay.journal.path, dead_letters)) as letters, Transport(server) as transport:
        sender = Sender(replay.journal, transport, replay.destinations, letters.write, options)
        outcomes = sender.outcomes
        has_work = replay.states.unsent or (options.resend and replay.states.uncertain)
        refusal = replay.preflight(transport) if options.preflight and has_work else None
        if refusal:
            outcomes.stop(refusal.reason, refusal.message)
        else:
            try:
                follow(sender.run(replay.pending.chunks()), replay, sender)
                replay.run_notes += sender.notes()
            except (JournalError, OSError) as error:
                is_journal_sound = False
                problem = error.message if isinstance(error, JournalError) else error.strerror or str(error)
                outcomes.stop(
                    StopReason.FAILED, Message(problem, "; events whose requests were in progress are uncertain")
                )
    counts = outcomes.counts
    if is_journal_sound:
        replay.close(counts, outcomes.last_error)
    else:
        counts = replay.recount(counts)
    return replay.account(counts, time.monotonic() - began), outcomes.stopped, letters
